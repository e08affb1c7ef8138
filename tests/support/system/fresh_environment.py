"""A new virtual environment with a wheel of Mamba, for packages that are installed next to it."""

import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[3]


class FreshEnvironment:
    """Its programs do not use the source code of the repository.

    Dependencies come from the environment of the tests, so that nothing is downloaded.
    """

    def __init__(self, folder: Path) -> None:
        self._venv = folder / "venv"
        venv.create(self._venv, with_pip=True, symlinks=True)
        [packages] = self._venv.glob("lib/python*/site-packages")
        others = "; ".join(f"site.addsitedir({path!r})" for path in site.getsitepackages())
        (packages / "others.pth").write_text(f"import site; {others}\n")
        wheels = folder / "wheels"
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", wheels],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        [wheel] = wheels.iterdir()
        self.install("--no-deps", str(wheel))

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables without those that lead to the repository or to other packages."""
        return {
            name: value
            for name, value in os.environ.items()
            if name not in {"PYTHONPATH", "PIP_CONSTRAINT", "VIRTUAL_ENV"}
        }

    def program(self, name: str) -> str:
        return str(self._venv / "bin" / name)

    def run(self, name: str, *arguments: str, folder: Path | None = None) -> str:
        """Run a program, and return its output. Fails if it fails."""
        ended = subprocess.run(
            [self.program(name), *arguments],
            cwd=folder or self._venv,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def install(self, *arguments: str) -> None:
        """Install packages without a package index."""
        options = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-build-isolation")
        self.run("pip", "install", *options, *arguments)

    def install_copy(self, package: Path, folder: Path) -> Path:
        """Copy a package, so that building it leaves no files behind, and install it."""
        copy = folder / package.name
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        self.install(f"{copy}[test]")
        return copy
