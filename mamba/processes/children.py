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

from mamba.processes import parent_watch
from mamba.processes.signals import SignalQueue

GRACE_SECONDS = 8
KEPT_LINES = 20

Show = Callable[[str], None]


class ChildEnded(Exception):
    """A child has ended that nobody asked to end."""


class Children:
    """Processes that end together: SIGTERM to all of them, SIGKILL to those left after a grace.

    Another interrupt in that time cuts the grace short. Each child leads a process group of its
    own, so that Ctrl-C in the terminal reaches this process alone.
    """

    def __init__(self, interrupts: SignalQueue) -> None:
        self._interrupts = interrupts
        self._started: list[Child] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._signal(signal.SIGTERM)
        gone = asyncio.create_task(self._wait())
        hurry = asyncio.create_task(self._interrupts.next())
        await asyncio.wait(
            {gone, hurry}, timeout=GRACE_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        hurry.cancel()
        self._signal(signal.SIGKILL)
        await gone

    async def start(
        self, name: str, *command: str, environment: Mapping[str, str], show: Show | None = None
    ) -> "Child":
        """Start a process; each line of its output goes to `show`, the last ones are kept."""
        process = await asyncio.create_subprocess_exec(
            *tethered(command),
            env=environment,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            process_group=0,
        )
        child = Child(name, process, show)
        self._started.append(child)
        return child

    def _signal(self, number: signal.Signals) -> None:
        for child in self._started:
            child.signal(number)

    async def _wait(self) -> None:
        for child in self._started:
            await child.wait()


class Child:
    def __init__(self, name: str, process: Process, show: Show | None) -> None:
        self.name = name
        self._process = process
        self._show = show
        self._kept = deque[str](maxlen=KEPT_LINES)
        self._reading = asyncio.create_task(self._read())

    @property
    def last_words(self) -> str:
        return "".join(f"\n  {line}" for line in self._kept)

    async def wait(self) -> int:
        """Return the exit code, once all output has been read too."""
        code = await self._process.wait()
        await asyncio.wait({self._reading}, timeout=1)  # a grandchild may hold the pipe open
        return code

    async def must_live(self) -> None:
        code = await self.wait()
        raise ChildEnded(f"{self.name} {_ended(code)}{self.last_words}")

    def signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):  # macOS: no permission for zombies
                os.killpg(self._process.pid, number)

    async def _read(self) -> None:
        assert self._process.stdout  # noqa: S101
        async for line in _lines(self._process.stdout):
            self._kept.append(line)
            if self._show:
                self._show(line)


async def _lines(output: asyncio.StreamReader) -> AsyncIterator[str]:
    """Lines of any length; `StreamReader.readline` gives up on long ones."""
    rest = b""
    while block := await output.read(65_536):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def tethered(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command of a process that ends when this one does, where the system can do that."""
    if sys.platform != "linux":
        return command
    script = str(Path(parent_watch.__file__))
    return (sys.executable, "-I", "-S", script, str(os.getpid()), *command)


def _ended(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
