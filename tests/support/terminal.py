"""A pseudo-terminal that runs a command, sends it keys and reads its screen."""

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

from tests.support.wait import until

_HOME, _ALTERNATE_SCREEN, _MAIN_SCREEN, _SHOW_CURSOR = (
    "\x1b[H",
    "\x1b[?1049h",
    "\x1b[?1049l",
    "\x1b[?25h",
)
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Use as a context manager."""

    def __init__(self, width: int, height: int, *command: str, env: Mapping[str, str]) -> None:
        self._command = command
        self._env = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "", **env}
        for size in ("COLUMNS", "LINES"):
            self._env.pop(size, None)  # the size of the terminal that runs the tests
        self._master, self._slave = pty.openpty()
        self.resize(width, height)
        self.before = self.modes
        self._read, self._open = b"", True

    def __enter__(self) -> Self:
        self.child = subprocess.Popen(
            self._command,
            env=self._env,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.child.kill()
        self.child.wait()
        _ = self.output  # drain the terminal so that closing does not block
        self._open = False
        os.close(self._master)
        os.close(self._slave)

    @property
    def modes(self) -> list[Any]:
        """The terminal attributes: echo, line mode, signals."""
        return termios.tcgetattr(self._slave)

    @property
    def output(self) -> str:
        """Everything written so far."""
        while self._open and select.select([self._master], [], [], 0)[0]:
            self._read += os.read(self._master, 65_536)
        return self._read.decode(errors="replace")

    @property
    def frames(self) -> list[list[str]]:
        """The lines of each frame drawn, without colors."""
        shown = self.output.rpartition(_ALTERNATE_SCREEN)[2].partition(_MAIN_SCREEN)[0]
        return [
            [_SEQUENCE.sub("", line).rstrip("\r") for line in frame.split("\n")]
            for frame in shown.split(_HOME)[1:]
        ]

    @property
    def is_restored(self) -> bool:
        """Whether the main screen, the cursor and the modes are restored."""
        before_exit = self.output.rpartition(_MAIN_SCREEN)[0]
        return bool(before_exit) and _SHOW_CURSOR in self.output and self.modes == self.before

    def resize(self, width: int, height: int) -> None:
        self._size = (width, height)
        size = struct.pack("HHHH", height, width, 0, 0)
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, size)
        if hasattr(self, "child"):
            self.child.send_signal(signal.SIGWINCH)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    async def shows(self, matches: Callable[[str], object]) -> list[str]:
        """Wait for a frame that matches, and return its lines."""
        return await until(self._newest(matches), seconds=60)

    async def ended(self) -> int:
        async def probe() -> bool:
            _ = self.output  # a full buffer would block the process
            return self.child.poll() is not None

        await until(probe, seconds=60)
        return self.child.returncode

    def _newest(self, matches: Callable[[str], object]) -> Callable[[], Awaitable[list[str]]]:
        async def probe() -> list[str]:
            width, height = self._size
            newest = self.frames[-1] if self.frames else []
            written = len(newest) == height and cell_len(newest[-1]) == width
            return newest if written and matches("\n".join(newest)) else []

        return probe


def widest(lines: list[str]) -> int:
    return max(map(cell_len, lines))
