"""The file by which `mamba probe` checks a process of the same container.

Each process writes it with every heartbeat. The check only reads it, so this module imports nothing
that takes long to load.
"""

# pathlib takes as long to load as everything else here.
# ruff: noqa: PTH102, PTH105, PTH108, PTH110, PTH123, PTH208

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal, NamedTuple

Role = Literal["api", "worker"]

#: A process hangs if its event loop has sent no heartbeat for this long.
_HUNG_SECONDS = 20.0
#: A worker cannot work without Redis. After this time, a restart may help, for example if the
#: address of Redis has changed. Failovers are shorter.
REDIS_LOST_SECONDS = 60.0


class HealthFile:
    """The health file of a process. It has three numbers, of which two are monotonic times."""

    def __init__(self, role: Role) -> None:
        self._folder = _folder(role)
        self._path = f"{self._folder}/{os.getpid()}"
        self._identity = _identity(os.getpid())

    def write(self, *, last_contact: float) -> None:
        """Record a heartbeat, and the monotonic time of the last contact with Redis.

        Raises:
            OSError: if the file cannot be written, or another user owns its folder.
        """
        with suppress(FileExistsError):
            os.mkdir(self._folder, 0o700)
        if not _is_own_folder(self._folder):
            raise PermissionError(f"{self._folder} is not a folder of this user")
        new = f"{self._path}.new"
        with open(new, "w", encoding="ascii") as file:
            file.write(f"{time.monotonic():.3f} {last_contact:.3f} {self._identity}")
        os.replace(new, self._path)

    def remove(self) -> None:
        with suppress(OSError):
            os.unlink(self._path)


class _Heartbeat(NamedTuple):
    pid: int
    at: float
    last_contact: float


def find_problem(role: Role) -> str | None:
    """Return what is wrong with a process of this role in this container, or None.

    Raises:
        FileNotFoundError: if no such process has started.
    """
    heartbeats = [*_read_all(_folder(role))]
    if not heartbeats:
        raise FileNotFoundError(f"No {role} has started in this container.")
    problems = [problem for heartbeat in heartbeats if (problem := _problem(role, heartbeat))]
    return problems[0] if problems else None


def _problem(role: Role, heartbeat: _Heartbeat) -> str | None:
    now, process = time.monotonic(), f"The {role} with process id {heartbeat.pid}"
    if not -1 <= (silent := now - heartbeat.at) <= _HUNG_SECONDS:
        return f"{process} hangs: it has sent no heartbeat for {silent:.0f} seconds."
    away = now - heartbeat.last_contact
    if role == "worker" and away > REDIS_LOST_SECONDS:
        return f"{process} has not reached Redis for {away:.0f} seconds."
    return None


def _read_all(folder: str) -> Iterator[_Heartbeat]:
    """Yield the heartbeats of processes that still run. Other files are ignored."""
    if not _is_own_folder(folder):
        return
    for name in os.listdir(folder):
        with suppress(OSError, ValueError):
            with open(f"{folder}/{name}", encoding="ascii") as file:
                at, last_contact, identity = file.read(200).split()
            if identity == _identity(int(name)):
                yield _Heartbeat(int(name), float(at), float(last_contact))


def _folder(role: Role) -> str:
    return f"{os.environ.get('TMPDIR') or '/tmp'}/mamba-{role}-{os.getuid()}"  # noqa: S108


def _is_own_folder(path: str) -> bool:
    """Return whether the path is a folder of this user, not a link that another user created."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _identity(pid: int) -> str:
    """Return the start time of a process, which distinguishes it from a later one with the same id.

    Raises:
        OSError: if the process does not run.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        if os.path.exists("/proc/self/stat"):
            raise
        os.kill(pid, 0)  # not on Linux
        return "0"
