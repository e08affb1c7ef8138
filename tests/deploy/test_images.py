"""Dockerfiles and lock files of the images. `make images` builds and runs them."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.deploy.helm import ROOT
from tests.support.deploy.tools import tool

ROLES = ("api", "worker")
FILES = [ROOT / f"Dockerfile.{role}" for role in ROLES]


def packages(lock: Path) -> dict[str, str]:
    """Return the packages of a lock file with version and hashes."""
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    return {entry.partition("==")[0]: entry.partition("==")[2] for entry in entries}


def pins(lock: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Return version and hashes without environment markers."""
    return {
        name: (rest.split()[0].rstrip(";"), frozenset(re.findall("sha256:[0-9a-f]{64}", rest)))
        for name, rest in packages(lock).items()
    }


@pytest.mark.parametrize("part", [*ROLES, "build", "console"])
def test_image_locks_are_subsets_of_the_lock(part: str) -> None:
    own, whole = pins(ROOT / f"requirements-{part}.lock"), pins(ROOT / "requirements.lock")

    assert own
    differing = {name for name, pin in own.items() if whole.get(name) != pin}
    assert not differing, "make image-locks"


@pytest.mark.parametrize("role", ROLES)
def test_image_locks_contain_required_packages(role: str) -> None:
    project = (ROOT / "pyproject.toml").read_text()
    everywhere = project.partition("\ndependencies = [")[2].partition("\n]")[0]
    extras = [project.partition(f"\n{e} = [")[2].partition("\n]")[0] for e in (role, "tracing")]
    wanted = set(re.findall(r'^ +"([a-z0-9-]+)', "\n".join([everywhere, *extras]), re.MULTILINE))

    assert wanted <= packages(ROOT / f"requirements-{role}.lock").keys(), "make image-locks"


def test_image_locks_exclude_packages_of_the_other_role() -> None:
    api, worker = (packages(ROOT / f"requirements-{role}.lock").keys() for role in ROLES)

    assert not {"openai", "pydantic-ai-slim"} & api
    assert not {"fastapi", "starlette", "uvicorn"} & worker


def test_locks_name_no_package_index() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        assert not re.search(r"^--|://", lock.read_text(), re.MULTILINE), lock.name


def test_dockerfiles_pass_the_linter() -> None:
    tool("hadolint", *map(str, FILES))


def test_dockerfiles_share_their_build_steps() -> None:
    builds = [
        file.read_text().partition("AS build\n")[2].partition("\nFROM")[0].replace(role, "ROLE")
        for role, file in zip(ROLES, FILES, strict=True)
    ]
    alike = [re.sub(r"COPY (--from=console \S+|\w+) \S+\n", "", build) for build in builds]
    assert alike[0] == alike[1]


@pytest.mark.parametrize("role", ROLES)
def test_images_run_unprivileged_and_receive_signals(role: str) -> None:
    text = (ROOT / f"Dockerfile.{role}").read_text()

    assert "\nUSER 1000:1000\n" in text
    assert '\nENTRYPOINT ["mamba"]\n' in text
    assert f'\nCMD ["{role}"]\n' in text
    assert f'CMD ["mamba", "probe", "{role}"]' in text


def test_build_context_has_only_needed_files() -> None:
    allowed = {
        line.removeprefix("!").partition("/")[0]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        name.partition("/")[0]
        for file in FILES
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", file.read_text(), re.MULTILINE)
        for name in line.split()
    }
    locks = {name for name in copied if name.endswith(".lock")}
    assert copied - locks <= allowed
    assert {"api", "mamba", "shared", "worker"} <= copied


def test_build_context_has_every_module() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    ignored = [line for line in lines if line.startswith("api/")]
    assert ignored

    for pattern in ignored:
        assert not [path for path in ROOT.glob(pattern) if path.suffix == ".py"], pattern


def test_image_build_uses_this_machines_index_but_no_constraints(tmp_path: Path) -> None:
    buildah = tmp_path / "buildah"
    buildah.write_text(
        "#!/bin/sh\n"
        'for option; do case $option in id=pip.conf,*) cat "${option#*src=}" ;; esac; done\n'
    )
    buildah.chmod(0o755)
    indexes = "https://one.example/simple\nhttps://two.example/simple"
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PIP_INDEX_URL": "https://index.example/simple",
        "PIP_EXTRA_INDEX_URL": indexes,
        "PIP_CONSTRAINT": str(tmp_path / "missing.txt"),
        "PIP_TARGET": "/elsewhere",
    }
    command = [ROOT / "deploy/images/build.sh", "base"]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    lines = done.stdout.splitlines()
    assert "index-url = https://index.example/simple" in lines
    assert f"extra-index-url = {' '.join(indexes.split())}" in lines
    assert not [line for line in lines if line.startswith(("constraint", "target"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_builds_ignore_constraints_of_the_given_pip_conf(file: Path) -> None:
    stages = re.split(r"^FROM ", file.read_text(), flags=re.MULTILINE)

    for stage in stages:
        if "pip install" in stage or "pip --python" in stage:
            assert "PIP_CONSTRAINT=/dev/null" in stage


def test_make_installs_without_constraints_of_this_machine() -> None:
    environment = os.environ | {"PIP_CONSTRAINT": "/missing.txt", "UV_CONSTRAINT": "/missing.txt"}
    show = "show: ; @echo [$$PIP_CONSTRAINT] [$$UV_CONSTRAINT]"

    done = subprocess.run(
        ["make", "--silent", "--file", "Makefile", "--eval", show, "show"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "[/dev/null] []\n"
