"""Supervises several processes of one `mamba` command, and replaces any that die.

SIGTERM and SIGINT drain all processes. A second signal is forwarded too: API processes then skip
the grace period. SIGHUP is forwarded, so that each process reloads its settings.
"""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import structlog

from mamba.supervisor.children import dying_with_parent
from shared.waiting import wait_briefly

log = structlog.stdlib.get_logger()

#: Exit codes that a restart cannot fix: wrong settings, and a failed start-up in uvicorn.
_PERMANENT_FAILURES = (2, 3)
#: Delay before a replacement starts. It doubles while processes die soon after their start.
_MIN_DELAY_SECONDS, _MAX_DELAY_SECONDS, _EARLY_DEATH_SECONDS = 0.1, 10.0, 5.0
#: Time that a process may take to exit beyond `exit_seconds`.
_EXIT_MARGIN_SECONDS = 5.0


@dataclass(frozen=True)
class ReplicaPlan:
    """The processes to run. `exit_seconds` is the longest time that one needs after SIGTERM."""

    role: str
    command: tuple[str, ...]
    count: int
    exit_seconds: float
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    #: A socket that the processes inherit. It is closed here when they drain.
    listener: socket.socket | None = None
    #: Receives the id of each process that has ended.
    on_exit: Callable[[int], None] = lambda _: None


def mamba_command(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "mamba", *arguments)


class Replicas:
    def __init__(self, plan: ReplicaPlan) -> None:
        self._plan = plan
        self._alive: dict[int, Process] = {}
        self._stopping = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        """Run the processes until SIGTERM, or until one cannot start. Returns the exit code."""
        with self._on_signals():
            replicas = [asyncio.create_task(self._keep_alive()) for _ in range(self._plan.count)]
            await self._stopping.wait()
            if self._plan.listener:
                self._plan.listener.close()
            await self._end(replicas)
        return self._code

    async def _keep_alive(self) -> None:
        """Run one process at all times, with a delay between restarts."""
        delay, first = _MIN_DELAY_SECONDS, True
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            started = loop.time()
            pid, code = await self._run_process()
            if self._stopping.is_set():
                return
            self._log_exit(pid, code)
            if first and code in _PERMANENT_FAILURES:
                self._stop(code)
                return
            first = False
            died_early = loop.time() - started < _EARLY_DEATH_SECONDS
            delay = min(delay * 2, _MAX_DELAY_SECONDS) if died_early else _MIN_DELAY_SECONDS
            await wait_briefly(self._stopping, delay)

    async def _run_process(self) -> tuple[int, int]:
        """Run one process until it ends. Returns its id and exit code."""
        listener = self._plan.listener
        try:
            process = await asyncio.create_subprocess_exec(
                *dying_with_parent(self._plan.command),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(listener.fileno(),) if listener else (),
                process_group=0,
                env={**os.environ, **self._plan.environment},
            )
        except OSError as error:  # out of memory or descriptors; the other processes keep serving
            log.error(  # noqa: TRY400  (a traceback adds nothing)
                "process.not_started",
                message="A process could not be started and will be retried",
                role=self._plan.role,
                error=error.strerror,
            )
            return 0, 1
        self._alive[process.pid] = process
        if self._stopping.is_set():
            process.terminate()
        code = await process.wait()
        del self._alive[process.pid]
        self._plan.on_exit(process.pid)
        return process.pid, code

    def _log_exit(self, pid: int, code: int) -> None:
        role = self._plan.role
        if code == 0:
            log.info(
                "process.ended",
                message="A process was drained and will be replaced",
                role=role,
                pid=pid,
            )
        else:
            log.error(
                "process.died",
                message="A process ended unexpectedly and will be replaced",
                role=role,
                pid=pid,
                code=code,
            )

    async def _end(self, replicas: list[asyncio.Task[None]]) -> None:
        timeout = self._plan.exit_seconds + _EXIT_MARGIN_SECONDS
        _, late = await asyncio.wait(replicas, timeout=timeout)
        self._send(signal.SIGKILL)
        await asyncio.gather(*late)

    def _stop(self, code: int) -> None:
        self._code = code
        self._stopping.set()
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for pid in self._alive:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    @contextmanager
    def _on_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, 0)
        loop.add_signal_handler(signal.SIGHUP, self._send, signal.SIGHUP)
        yield
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
