"""`make` reports in one line what it needs and does not find."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OLD_PYTHON = """#!/bin/sh
[ "$1" = --version ] && echo "Python 3.9.2" && exit
exit 1
"""
NO_VENV = """#!/bin/sh
[ "$2" = venv ] && exit 1
exit 0
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the files that an installation reads first."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-uv.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(folder: Path, python: str, **variables: str) -> list[str]:
    """Run `make dev`, which fails, and return what it prints, without the line of make itself."""
    finished = subprocess.run(
        ["make", "dev", f"PYTHON={python}"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert finished.returncode == 2
    return [line for line in finished.stdout.splitlines() if not line.startswith("make: ***")]


def script(folder: Path, text: str) -> str:
    path = folder / "python"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_missing_python_is_reported_in_one_line(clone: Path) -> None:
    [line] = make(clone, "python9.9")
    assert line.startswith("Mamba Server needs Python 3.11 or newer, and python9.9 is missing.")
    assert line.endswith("make dev PYTHON=python3.12")


def test_old_python_is_reported_in_one_line(clone: Path) -> None:
    python = script(clone, OLD_PYTHON)
    [line] = make(clone, python)
    assert f"needs Python 3.11 or newer, and {python} is Python 3.9.2." in line


def test_missing_venv_module_is_reported_in_one_line(clone: Path) -> None:
    _, line = make(clone, script(clone, NO_VENV))
    assert line == "Python's venv module is missing. On Debian: apt install python3-venv"
    assert not (clone / ".venv").exists()


def test_missing_network_is_reported_in_the_last_line(clone: Path) -> None:
    unreachable = dict.fromkeys(("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), "http://127.0.0.1:9/simple")
    lines = make(clone, sys.executable, **unreachable, PIP_RETRIES="0", UV_HTTP_RETRIES="0")
    assert lines[:2] == [
        "Creating the Python environment .venv …",
        "Installing Mamba Server into .venv …",
    ]
    assert lines[-1] == (
        "The packages could not be downloaded; the reason is above. Check the network and the"
        " proxy settings."
    )
    assert not (clone / ".venv" / ".installed").exists()
