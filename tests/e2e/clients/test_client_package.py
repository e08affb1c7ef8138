"""The npm package `@mamba-server/client`."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from web.client import CLIENT_DIR, build_client, pack_client
from web.node import find_node


def test_unit_tests_of_the_package_pass() -> None:
    build_client()
    _run(find_node().path, "--test", *sorted((CLIENT_DIR / "test").glob("*.test.js")))


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    return pack_client(tmp_path)


def test_tarball_contains_only_the_compiled_package(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = {name.removeprefix("package/") for name in archive.getnames()}

    assert {"package.json", "README.md", "LICENSE", "dist/index.js", "dist/index.d.ts"} <= names
    assert "dist/.sources" not in names
    assert not [name for name in names if name.startswith(("src", "test", "node_modules"))]


def test_publint_and_attw_find_no_problem(tarball: Path) -> None:
    modules = CLIENT_DIR / "node_modules"

    _run(find_node().path, modules / "publint/src/cli.js", "--strict", tarball)
    attw = modules / "@arethetypeswrong/cli/dist/index.js"
    _run(find_node().path, attw, tarball, "--profile", "esm-only")


def _run(*command: str | Path) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
