"""Finds Prometheus and promtool; where there are none, brings those of Debian's package."""

import fcntl
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / ".prometheus"
_PACKAGE = "prometheus"


class PrometheusMissingError(RuntimeError):
    """The tests of alerts and dashboards need Prometheus 2.42 or newer, with promtool: install it,
    or name its folder with the environment variable MAMBA_PROMETHEUS. On Debian and Ubuntu they
    bring their own.
    """

    def __str__(self) -> str:
        return " ".join((self.__doc__ or "").split())


@cache
def find(program: str) -> str:
    """`promtool` or `prometheus`: of MAMBA_PROMETHEUS, installed, or out of Debian's package.

    Raises:
        PrometheusMissingError: if there is none.
    """
    named = os.environ.get("MAMBA_PROMETHEUS")
    if found := shutil.which(program, path=named):
        return found
    if named or not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise PrometheusMissingError
    return str(_unpacked() / "usr" / "bin" / program)


def _unpacked() -> Path:
    """The package's files. It needs nothing of its machine but the C library, and no root."""
    _FOLDER.mkdir(exist_ok=True)
    files, done = _FOLDER / "files", _FOLDER / "done"
    with (_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes one brings it
        if not done.exists():
            for name in ("state/lists/partial", "cache/archives/partial"):
                (_FOLDER / name).mkdir(parents=True, exist_ok=True)
            # A machine's own lists of packages may be old, or, in a container, not there.
            _apt_get("update")
            _apt_get("download", _PACKAGE)
            [package] = _FOLDER.glob("*.deb")
            subprocess.run(["dpkg-deb", "--extract", package, files], check=True)
            package.unlink()
            for part in ("state", "cache"):
                shutil.rmtree(_FOLDER / part)
            done.touch()
    return files


def _apt_get(*command: str) -> None:
    """With lists and caches of its own: those of the machine are root's."""
    options = {
        "Dir::State": _FOLDER / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": _FOLDER / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Retries": 3,
    }
    said = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    done = subprocess.run(
        ["apt-get", "-qq", *said, *command],
        cwd=_FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
