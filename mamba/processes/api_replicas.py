"""`mamba api` with several processes, which share one listening socket. One that dies is replaced.

SIGTERM and SIGINT drain them all, and a second one hurries them; SIGHUP is passed on, for each to
read its settings anew. uvicorn's own supervisor restarts its processes at SIGHUP instead, which
would break off their streams.
"""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Generator
from contextlib import contextmanager, suppress

import structlog
from prometheus_client.multiprocess import (
    mark_process_dead,  # pyright: ignore[reportUnknownVariableType]  (its parameters have no types)
)

from mamba.processes.children import tethered
from shared.errors import SettingsError
from shared.settings import Settings
from shared.telemetry import logs
from shared.telemetry.metrics import METRICS_FOLDER

log = structlog.stdlib.get_logger()

_BACKLOG = 2048
#: Wrong settings, and uvicorn's start-up failure: the next start would end in the same way.
_HOPELESS = (2, 3)
#: The pause before a replacement, doubled with each that ends soon after its start.
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _SOON_SECONDS = 0.1, 10.0, 5.0
#: What a process may take to leave, beyond what its settings say.
_SLACK_SECONDS = 5.0


def serve(settings: Settings) -> int:
    """Run as many API processes as the settings say until SIGTERM; the exit code.

    Raises:
        SettingsError: if the address cannot be bound.
    """
    logs.configure(settings.logging)
    with _listen(settings) as listener, _shared_metrics() as folder:
        return asyncio.run(Replicas(settings, listener, folder).run())


class Replicas:
    def __init__(self, settings: Settings, listener: socket.socket, metrics: str) -> None:
        self._settings = settings.server
        self._listener = listener
        self._metrics = metrics
        self._alive: dict[int, Process] = {}
        self._leaving = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        count, port = self._settings.workers, self._listener.getsockname()[1]
        log.info("api.listening", host=self._settings.host, port=port, processes=count)
        with self._on_signals():
            keeping = [asyncio.create_task(self._keep()) for _ in range(count)]
            await self._leaving.wait()
            self._listener.close()
            await self._end(keeping)
        return self._code

    async def _keep(self) -> None:
        """Have one process there at all times."""
        pause, first = _PAUSE_SECONDS, True
        while not self._leaving.is_set():
            began = asyncio.get_running_loop().time()
            pid, code = await self._live()
            if self._leaving.is_set():
                return
            log.error("api.process_died", pid=pid, code=code)
            if first and code in _HOPELESS:
                self._leave(code)
                return
            soon = asyncio.get_running_loop().time() - began < _SOON_SECONDS
            pause, first = min(pause * 2, _LONGEST_PAUSE_SECONDS) if soon else _PAUSE_SECONDS, False
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._leaving.wait()

    async def _live(self) -> tuple[int, int]:
        """One process from its start to its end: its id, and its exit code."""
        fd = self._listener.fileno()
        command = (sys.executable, "-m", "mamba", "api", "--listener", str(fd))
        try:
            process = await asyncio.create_subprocess_exec(
                *tethered(command),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(fd,),
                process_group=0,
                env={**os.environ, METRICS_FOLDER: self._metrics},
            )
        except OSError as error:  # no memory or descriptors: those that are there go on serving
            log.error("api.process_not_started", error=error.strerror)  # noqa: TRY400  (its message says it all)
            return 0, 1
        self._alive[process.pid] = process
        if self._leaving.is_set():
            process.terminate()
        code = await process.wait()
        del self._alive[process.pid]
        mark_process_dead(process.pid, self._metrics)
        return process.pid, code

    async def _end(self, keeping: list[asyncio.Task[None]]) -> None:
        longest = self._settings.shutdown_delay_seconds + self._settings.shutdown_grace_seconds
        _, late = await asyncio.wait(keeping, timeout=longest + _SLACK_SECONDS)
        self._send(signal.SIGKILL)
        await asyncio.gather(*late)

    def _leave(self, code: int) -> None:
        self._code = code
        self._leaving.set()
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for pid in self._alive:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    @contextmanager
    def _on_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave, 0)
        loop.add_signal_handler(signal.SIGHUP, self._send, signal.SIGHUP)
        yield
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def _shared_metrics() -> Generator[str]:
    """Where the processes keep what they count: any of them tells the sum, of dead ones too."""
    if given := os.environ.get(METRICS_FOLDER):
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="mamba-metrics-") as folder:
        yield folder


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}") from None
