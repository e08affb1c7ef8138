import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mamba.cli import app

runner = CliRunner()


def python(*arguments: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python where neither a file nor a variable of this machine reaches the settings."""
    inherited = {"PATH": os.environ["PATH"], "HOME": str(home)}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        check=False,
        cwd=home,
        env=inherited | variables,
        text=True,
        timeout=60,
    )


def test_help_names_every_command_and_the_way_in() -> None:
    result = runner.invoke(app, ["--help"])

    assert result.exit_code == 0
    for expected in ("dev", "api", "worker", "--version", "mamba dev"):
        assert expected in result.output


def test_no_command_shows_the_help() -> None:
    assert runner.invoke(app, []).output == runner.invoke(app, ["--help"]).output


@pytest.mark.parametrize("command", ["dev", "api", "worker"])
def test_each_command_shows_an_example(command: str) -> None:
    result = runner.invoke(app, [command, "--help"])

    assert result.exit_code == 0
    assert "Example:" in result.output
    assert f"mamba {command}" in result.output


def test_the_version_is_that_of_the_package() -> None:
    result = runner.invoke(app, ["--version"])

    assert result.exit_code == 0
    assert result.output == f"mamba-server {version('mamba-server')}\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    result = runner.invoke(app, ["serve"])

    assert result.exit_code == 2
    assert "serve" in result.stderr


@pytest.mark.parametrize("arguments", [["dev"], ["api"], ["worker"], []])
def test_wrong_settings_are_named_on_stderr_without_a_traceback(
    arguments: list[str], tmp_path: Path
) -> None:
    """`python -m mamba` without a command serves the API, so it reads the settings too."""
    result = python("-m", "mamba", *arguments, home=tmp_path, MAMBA_SERVER__PORT="many")

    assert result.returncode == 2
    assert result.stdout == ""
    assert "server.port" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("command", "package"), [("api", "fastapi"), ("worker", "pydantic_ai")])
def test_a_missing_extra_is_named(command: str, package: str, tmp_path: Path) -> None:
    without_package = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv = ['mamba', {command!r}];"
        "from mamba.cli import main; main()"
    )

    result = python("-c", without_package, home=tmp_path)

    assert result.returncode == 2
    assert f"install mamba-server[{command}]" in result.stderr
    assert "Traceback" not in result.stderr


def test_dev_without_its_embedded_valkey_names_the_ways_out(tmp_path: Path) -> None:
    without_valkey = (
        "import importlib.util as util; util.find_spec = lambda name: None;"
        "import sys; sys.argv = ['mamba', 'dev'];"
        "from mamba.cli import main; main()"
    )

    result = python("-c", without_valkey, home=tmp_path)

    assert result.returncode == 2
    assert "MAMBA_REDIS__URL" in result.stderr
    assert "mamba-server[dev]" in result.stderr
    assert "Traceback" not in result.stderr


def test_importing_the_app_module_builds_nothing(tmp_path: Path) -> None:
    result = python(
        "-c",
        "import sys, mamba.main; print('fastapi' in sys.modules)",
        home=tmp_path,
        MAMBA_SERVER__PORT="many",
    )

    assert result.stdout == "False\n", result.stderr


def test_the_app_is_built_once_for_uvicorn(tmp_path: Path) -> None:
    result = python(
        "-c",
        "import mamba.main; app = mamba.main.app; print(type(app).__name__, app is mamba.main.app)",
        home=tmp_path,
    )

    assert result.stdout == "FastAPI True\n", result.stderr
