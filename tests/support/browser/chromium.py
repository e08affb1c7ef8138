"""Finds Chromium or Chrome; where there is none, brings the one that npm carries."""

import fcntl
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from web.node import find_node

_FOLDER = Path(__file__).parent
_UNPACKED = _FOLDER / "node_modules" / ".chromium"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class ChromiumMissingError(RuntimeError):
    """The tests of the pages need Chromium or Chrome, and for this machine npm carries none:
    install one, or name it with the environment variable MAMBA_CHROMIUM.
    """

    def __str__(self) -> str:
        return " ".join((self.__doc__ or "").split())


@dataclass(frozen=True)
class Chromium:
    path: str
    environment: dict[str, str] = field(default_factory=dict[str, str])


def find_chromium() -> Chromium:
    """MAMBA_CHROMIUM, one that is installed, or npm's.

    Raises:
        ChromiumMissingError: if there is none.
    """
    named = os.environ.get("MAMBA_CHROMIUM")
    for name in (named,) if named else _NAMES:
        if path := shutil.which(name):
            return Chromium(path)
    if named or (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise ChromiumMissingError
    return _npms()


def _npms() -> Chromium:
    """One that needs nothing of its machine but the C library."""
    node = find_node()
    node.install(_FOLDER)
    _UNPACKED.mkdir(exist_ok=True)
    program = _UNPACKED / "chromium"
    with (_FOLDER / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes one unpacks it
        if not (_UNPACKED / "done").exists():
            environment = os.environ | {"TMPDIR": str(_UNPACKED)}
            command = [str(node.path), str(_FOLDER / "unpack.mjs")]
            subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
            (_UNPACKED / "done").touch()
    return Chromium(str(program), {"LD_LIBRARY_PATH": str(_UNPACKED / "al2023" / "lib")})
