"""Child processes that end together with this one."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from mamba.supervisor import exec_with_parent
from mamba.supervisor.signals import SignalQueue

GRACE_SECONDS = 8
KEPT_LINES = 20

OnLine = Callable[[str], None]


class ChildEnded(Exception):
    """A child process ended unexpectedly. `reason` is the message without the child's output."""

    def __init__(self, reason: str, recent_output: str = "") -> None:
        super().__init__(f"{reason}{recent_output}")
        self.reason = reason


class Children:
    """Processes that end together: SIGTERM to all, then SIGKILL to those left after a grace period.

    Another signal cuts the grace period short. Each child leads its own process group, so Ctrl-C in
    the terminal reaches only this process.
    """

    def __init__(self, signals: SignalQueue) -> None:
        self._signals = signals
        self._children: list[Child] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._send(signal.SIGTERM)
        ended = asyncio.create_task(self._wait())
        interrupted = asyncio.create_task(self._signals.next())
        await asyncio.wait(
            {ended, interrupted}, timeout=GRACE_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        interrupted.cancel()
        self._send(signal.SIGKILL)
        await ended

    async def start(
        self,
        name: str,
        *command: str,
        environment: Mapping[str, str],
        on_line: OnLine | None = None,
    ) -> "Child":
        """Start a process. `on_line` receives each line of its output."""
        process = await asyncio.create_subprocess_exec(
            *dying_with_parent(command),
            env=environment,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            process_group=0,
        )
        child = Child(name, process, on_line)
        self._children.append(child)
        return child

    def _send(self, number: signal.Signals) -> None:
        for child in self._children:
            child.signal(number)

    async def _wait(self) -> None:
        for child in self._children:
            await child.wait()


class Child:
    def __init__(self, name: str, process: Process, on_line: OnLine | None) -> None:
        self.name = name
        self._process = process
        self._on_line = on_line
        self._last_lines = deque[str](maxlen=KEPT_LINES)
        self._reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def recent_output(self) -> str:
        """The last lines of output, indented, each preceded by a newline."""
        return "".join(f"\n  {line}" for line in self._last_lines)

    async def wait(self) -> int:
        """Wait until the process has ended and its output is read. Returns the exit code."""
        code = await self._process.wait()
        await asyncio.wait({self._reading}, timeout=1)  # a grandchild may hold the pipe open
        return code

    async def must_live(self) -> None:
        code = await self.wait()
        raise ChildEnded(f"{self.name} {_describe_exit(code)}", self.recent_output)

    def signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):  # macOS: no permission for zombies
                os.killpg(self._process.pid, number)

    async def _read(self) -> None:
        assert self._process.stdout  # noqa: S101
        async for line in _lines(self._process.stdout):
            self._last_lines.append(line)
            if self._on_line:
                self._on_line(line)


async def _lines(output: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield lines of any length. `StreamReader.readline` fails on long ones."""
    rest = b""
    while block := await output.read(65_536):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def dying_with_parent(command: tuple[str, ...]) -> tuple[str, ...]:
    """Wrap a command so that its process is killed when this one dies. Linux only."""
    if sys.platform != "linux":
        return command
    script = str(Path(exec_with_parent.__file__))
    return (sys.executable, "-I", "-S", script, str(os.getpid()), *command)


def _describe_exit(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
