"""Supervises several API processes that share one listening socket, and replaces any that die.

SIGTERM and SIGINT drain all processes; a second signal skips the grace period. SIGHUP is forwarded,
so that each process reloads its settings. uvicorn's supervisor would restart its processes on
SIGHUP, which would cut their streams.
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

from mamba.cli_errors import cannot_listen
from mamba.supervisor.children import dying_with_parent
from shared.errors import SettingsError
from shared.settings import Settings
from shared.telemetry import logs
from shared.telemetry.metrics_folder import METRICS_FOLDER
from shared.waiting import wait_briefly

log = structlog.stdlib.get_logger()

_BACKLOG = 2048
#: Exit codes that a restart cannot fix: wrong settings, and a failed start-up in uvicorn.
_PERMANENT_FAILURES = (2, 3)
#: Delay before a replacement starts. It doubles while processes die soon after their start.
_MIN_DELAY_SECONDS, _MAX_DELAY_SECONDS, _EARLY_DEATH_SECONDS = 0.1, 10.0, 5.0
#: Time that a process may take to exit beyond its configured delay and grace period.
_EXIT_MARGIN_SECONDS = 5.0


def serve(settings: Settings) -> int:
    """Run `server.workers` API processes until SIGTERM. Returns the exit code.

    Raises:
        SettingsError: if the address cannot be bound.
    """
    logs.configure(settings.logging.level, settings.logging.format)
    with _listen(settings) as listener, _shared_metrics() as folder:
        return asyncio.run(ApiReplicas(settings, listener, folder).run())


class ApiReplicas:
    def __init__(self, settings: Settings, listener: socket.socket, metrics: str) -> None:
        self._settings = settings.server
        self._listener = listener
        self._metrics = metrics
        self._alive: dict[int, Process] = {}
        self._stopping = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        count, port = self._settings.workers, self._listener.getsockname()[1]
        log.info(
            "api.listening",
            message="API processes share one listening socket",
            host=self._settings.host,
            port=port,
            processes=count,
        )
        with self._on_signals():
            replicas = [asyncio.create_task(self._keep_alive()) for _ in range(count)]
            await self._stopping.wait()
            self._listener.close()
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
            log.error(
                "api.process_died",
                message="An API process ended unexpectedly and will be replaced",
                pid=pid,
                code=code,
            )
            if first and code in _PERMANENT_FAILURES:
                self._stop(code)
                return
            first = False
            died_early = loop.time() - started < _EARLY_DEATH_SECONDS
            delay = min(delay * 2, _MAX_DELAY_SECONDS) if died_early else _MIN_DELAY_SECONDS
            await wait_briefly(self._stopping, delay)

    async def _run_process(self) -> tuple[int, int]:
        """Run one process until it ends. Returns its id and exit code."""
        fd = self._listener.fileno()
        command = (sys.executable, "-m", "mamba", "api", "--listener", str(fd))
        try:
            process = await asyncio.create_subprocess_exec(
                *dying_with_parent(command),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(fd,),
                process_group=0,
                env={**os.environ, METRICS_FOLDER: self._metrics},
            )
        except OSError as error:  # out of memory or descriptors; the other processes keep serving
            log.error(  # noqa: TRY400  (a traceback adds nothing)
                "api.process_not_started",
                message="An API process could not be started and will be retried",
                error=error.strerror,
            )
            return 0, 1
        self._alive[process.pid] = process
        if self._stopping.is_set():
            process.terminate()
        code = await process.wait()
        del self._alive[process.pid]
        mark_process_dead(process.pid, self._metrics)
        return process.pid, code

    async def _end(self, replicas: list[asyncio.Task[None]]) -> None:
        timeout = self._settings.shutdown_delay_seconds + self._settings.shutdown_grace_seconds
        _, late = await asyncio.wait(replicas, timeout=timeout + _EXIT_MARGIN_SECONDS)
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


@contextmanager
def _shared_metrics() -> Generator[str]:
    """Yield the folder of the shared metrics: each process reports the sum over all of them."""
    if configured := os.environ.get(METRICS_FOLDER):
        yield configured
        return
    with tempfile.TemporaryDirectory(prefix="mamba-metrics-") as folder:
        yield folder


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(cannot_listen(host, port, error)) from None
