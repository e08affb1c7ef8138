"""Finds Prometheus and promtool, or downloads them from Debian's package."""

import fcntl
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.support.isolation import proxy_variables

_FOLDER = Path(__file__).parent / ".prometheus"
_PACKAGE = "prometheus"


class PrometheusMissingError(RuntimeError):
    """The tests of alerts and dashboards need Prometheus 2.42 or newer with promtool: install it,
    or set MAMBA_PROMETHEUS to its folder. On Debian and Ubuntu they download it.
    """

    def __str__(self) -> str:
        return " ".join((self.__doc__ or "").split())


@cache
def find(program: str) -> str:
    """Return the path of `promtool` or `prometheus`.

    Raises:
        PrometheusMissingError: if it is not installed and cannot be downloaded.
    """
    folder = os.environ.get("MAMBA_PROMETHEUS")
    if found := shutil.which(program, path=folder):
        return found
    if folder or not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise PrometheusMissingError
    return str(_unpacked() / "usr" / "bin" / program)


def _unpacked() -> Path:
    """Download and unpack the package, without root. The programs need only the C library."""
    _FOLDER.mkdir(exist_ok=True)
    files, done = _FOLDER / "files", _FOLDER / "done"
    with (_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # only one test process downloads it
        if not done.exists():
            for name in ("state/lists/partial", "cache/archives/partial"):
                (_FOLDER / name).mkdir(parents=True, exist_ok=True)
            # The package lists of this machine may be outdated or missing.
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
    """Run apt-get with separate lists and caches, because those of the machine belong to root."""
    options = {
        "Dir::State": _FOLDER / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": _FOLDER / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Retries": 3,
    }
    flags = [flag for name, value in options.items() for flag in ("-o", f"{name}={value}")]
    done = subprocess.run(
        ["apt-get", "-qq", *flags, *command],
        cwd=_FOLDER,
        env=os.environ | proxy_variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)


def promtool(*arguments: str | Path) -> None:
    command = [find("promtool"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
