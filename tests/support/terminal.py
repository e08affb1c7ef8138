"""A terminal for a command: keys go in, and what stands on its screen comes out."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

from rich.cells import cell_len

from tests.support.processes import ROOT
from tests.support.wait import until

_HOME, _ALTERNATE, _BACK, _SHOW = "\x1b[H", "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Use as a context manager."""

    def __init__(self, width: int, height: int, *command: str, env: Mapping[str, str]) -> None:
        self._command = command
        self._env = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "", **env}
        for size in ("COLUMNS", "LINES"):
            self._env.pop(size, None)  # of another terminal
        self._master, self._slave = pty.openpty()
        self.resize(width, height)
        self.before = self.modes
        self._read, self._open = b"", True

    def __enter__(self) -> Self:
        self.child = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._env,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.child.kill()
        self.child.wait()
        _ = self.output  # what is left of it
        self._open = False
        os.close(self._master)
        os.close(self._slave)

    @property
    def modes(self) -> list[Any]:
        """How the terminal is set: echo, lines, signals."""
        return termios.tcgetattr(self._slave)

    @property
    def output(self) -> str:
        """All that was written so far."""
        while self._open and select.select([self._master], [], [], 0)[0]:
            self._read += os.read(self._master, 65_536)
        return self._read.decode(errors="replace")

    @property
    def frames(self) -> list[list[str]]:
        """The lines of each picture that was drawn, without their colours."""
        shown = self.output.rpartition(_ALTERNATE)[2].partition(_BACK)[0]
        return [
            [_SEQUENCE.sub("", line).rstrip("\r") for line in frame.split("\n")]
            for frame in shown.split(_HOME)[1:]
        ]

    @property
    def is_restored(self) -> bool:
        """The screen from before, its cursor, and its modes."""
        left = self.output.rpartition(_BACK)[0]
        return bool(left) and _SHOW in self.output and self.modes == self.before

    def resize(self, width: int, height: int) -> None:
        self._size = (width, height)
        size = struct.pack("HHHH", height, width, 0, 0)
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, size)
        if hasattr(self, "child"):
            self.child.send_signal(signal.SIGWINCH)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    async def shows(self, wanted: Callable[[str], object]) -> list[str]:
        """The lines of the newest picture, once it is as wanted."""
        return await until(self._newest(wanted), seconds=30)

    async def ended(self) -> int:
        async def probe() -> bool:
            _ = self.output  # a full buffer would hold it
            return self.child.poll() is not None

        await until(probe, seconds=30)
        return self.child.returncode

    def _newest(self, wanted: Callable[[str], object]) -> Callable[[], Awaitable[list[str]]]:
        async def probe() -> list[str]:
            width, height = self._size
            newest = self.frames[-1] if self.frames else []
            written = len(newest) == height and cell_len(newest[-1]) == width
            return newest if written and wanted("\n".join(newest)) else []

        return probe


def widest(lines: list[str]) -> int:
    return max(map(cell_len, lines))
