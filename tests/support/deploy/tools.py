"""Runs linters from the development dependencies."""

import subprocess
import sys
from pathlib import Path

from tests.support.deploy.helm import ROOT


def tool(name: str, *arguments: str) -> None:
    """Run a linter, and fail with its output if it reports anything."""
    path = Path(sys.executable).with_name(name)
    assert path.exists(), f"{name} is missing: make install"
    done = subprocess.run([path, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
