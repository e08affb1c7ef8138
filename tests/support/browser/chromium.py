"""Finds Chromium or Chrome, or installs the one from npm."""

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
    """The browser tests need Chromium or Chrome, and npm has none for this platform. Install one,
    or set the environment variable MAMBA_CHROMIUM to its path.
    """

    def __str__(self) -> str:
        return " ".join((self.__doc__ or "").split())


@dataclass(frozen=True)
class Chromium:
    path: str
    environment: dict[str, str] = field(default_factory=dict[str, str])


def find_chromium() -> Chromium:
    """Return MAMBA_CHROMIUM if it is set, else an installed browser, else the one from npm.

    MAMBA_CHROMIUM is a name or path, or `npm`.

    Raises:
        ChromiumMissingError: if there is no browser.
    """
    configured = os.environ.get("MAMBA_CHROMIUM")
    if configured == "npm":
        return _install_from_npm()
    for name in (configured,) if configured else _NAMES:
        if path := shutil.which(name):
            return Chromium(path)
    if configured:
        raise ChromiumMissingError
    return _install_from_npm()


def _install_from_npm() -> Chromium:
    """Unpack a browser that needs no system library except the C library."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise ChromiumMissingError
    node = find_node()
    node.install(_FOLDER)
    _UNPACKED.mkdir(exist_ok=True)
    program = _UNPACKED / "chromium"
    with (_FOLDER / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # only one process unpacks it
        if not (_UNPACKED / "done").exists():
            environment = os.environ | {"TMPDIR": str(_UNPACKED)}
            command = [str(node.path), str(_FOLDER / "unpack.mjs")]
            subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
            (_UNPACKED / "done").touch()
    return Chromium(str(program), {"LD_LIBRARY_PATH": str(_UNPACKED / "al2023" / "lib")})
