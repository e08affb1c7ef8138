"""A test session does not depend on the developer's environment."""

import os
import subprocess
import sys
import venv
from pathlib import Path

from tests.support.fakes.packages import install
from tests.support.isolation import ROOT, isolated_variables

PROBE = """
import os
import time
from datetime import datetime
from importlib.metadata import entry_points

from shared.settings import Settings, load_settings


def test_session_is_isolated():
    assert load_settings() == Settings()
    assert not [name for name in os.environ if name.lower().endswith("_proxy")
                and not name.startswith("npm_")]
    assert not {"OPENAI_API_KEY", "OTEL_SDK_DISABLED", "NO_COLOR", "COLUMNS"} & os.environ.keys()
    assert (os.environ["TZ"], time.timezone) == ("UTC", 0)
    assert os.environ["npm_config_https_proxy"] == "http://proxy.invalid:1"
"""
HOSTILE = {
    "COLUMNS": "20",
    "HTTPS_PROXY": "http://proxy.invalid:1",
    "LC_ALL": "tr_TR.ISO-8859-9",
    "MAMBA_SERVER__PORT": "1",
    "MAMBA_SERVER__PROT": "1",
    "NO_COLOR": "1",
    "OPENAI_API_KEY": "sk-developer",
    "OTEL_SDK_DISABLED": "true",
    "PROMETHEUS_MULTIPROC_DIR": "/nonexistent",
    "TZ": "Asia/Kathmandu",
    "all_proxy": "socks5://proxy.invalid:1",
}


def test_hostile_environment_does_not_reach_tests(tmp_path: Path) -> None:
    (tmp_path / "mamba.env").write_text("MAMBA_RUN__MAX_STEPS=1\n")
    (tmp_path / "config.local.yaml").write_text("run: {max_steps: 2}\n")
    probe = tmp_path / "test_probe.py"
    probe.write_text(PROBE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
    ]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}

    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), str(probe)],
        cwd=tmp_path,
        env={**environment, **HOSTILE},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_agents_of_installed_packages_are_hidden(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    [site] = (tmp_path / "venv").glob("lib/python*/site-packages")
    own = tmp_path / "own"
    own.mkdir()
    install(site, "installed", "")
    install(own, "fake", "")
    program = (
        "from importlib.metadata import entry_points;"
        "print(*sorted(point.name for point in entry_points(group='mamba.agents')))"
    )
    environment = isolated_variables({"PYTHONPATH": str(own)}, home=tmp_path)

    def seen(variables: dict[str, str]) -> str:
        command = [tmp_path / "venv/bin/python", "-c", program]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert seen({"PYTHONPATH": str(own)}) == "fake installed"
    assert seen(environment) == "fake"


def test_isolation_keeps_what_tests_need(tmp_path: Path) -> None:
    kept = {"PATH": "/bin", "MAMBA_HELM": "/opt/helm", "PIP_INDEX_URL": "https://index.example"}

    variables = isolated_variables({**kept, "HOME": "/home/me", "MAMBA_REDIS__URL": "x"}, tmp_path)

    assert variables.items() >= kept.items()
    assert variables["npm_config_userconfig"] == "/home/me/.npmrc"
    assert variables["HOME"] == str(tmp_path)
    assert "MAMBA_REDIS__URL" not in variables
