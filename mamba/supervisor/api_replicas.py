"""API processes that share one listening socket and the sum of their metrics.

uvicorn's supervisor would restart its processes on SIGHUP, which would cut their streams.
"""

import asyncio
import os
import socket
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial

import structlog
from prometheus_client.multiprocess import (
    mark_process_dead,  # pyright: ignore[reportUnknownVariableType]  (its parameters have no types)
)

from mamba.cli_errors import cannot_listen
from mamba.supervisor.replicas import ReplicaPlan, Replicas, mamba_command
from shared.errors import SettingsError
from shared.settings import Settings
from shared.telemetry import logs
from shared.telemetry.metrics_folder import METRICS_FOLDER

log = structlog.stdlib.get_logger()

_BACKLOG = 2048


def serve(settings: Settings) -> int:
    """Run `server.workers` API processes until SIGTERM. Returns the exit code.

    Raises:
        SettingsError: if the address cannot be bound.
    """
    logs.configure(settings.logging.level, settings.logging.format)
    with _listen(settings) as listener, _shared_metrics() as folder:
        return asyncio.run(_run(settings, listener, folder))


async def _run(settings: Settings, listener: socket.socket, metrics: str) -> int:
    server = settings.server
    log.info(
        "api.listening",
        message="API processes share one listening socket",
        host=server.host,
        port=listener.getsockname()[1],
        processes=server.workers,
    )
    plan = ReplicaPlan(
        role="api",
        command=mamba_command("api", "--listener", str(listener.fileno())),
        count=server.workers,
        exit_seconds=server.shutdown_delay_seconds + server.shutdown_grace_seconds,
        environment={METRICS_FOLDER: metrics},
        listener=listener,
        on_exit=partial(mark_process_dead, path=metrics),
    )
    return await Replicas(plan).run()


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
