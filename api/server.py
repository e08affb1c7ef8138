"""The API process under uvicorn."""

import math
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from api.app import create_app
from api.http.connection import RequestHeadLimitProtocol
from shared.settings import Settings
from shared.telemetry import logs
from shared.telemetry.tracing import tracing


def serve(load: Callable[[], Settings], *, listener: int | None = None) -> None:
    """Run the API until SIGTERM or SIGINT; then end its streams and return.

    `load` reads the settings, now and when they change. A `listener` is the file descriptor of a
    listening socket that was opened by the parent, which shares it among its children.
    """
    settings = load()
    logs.configure(settings.logging)
    # uvicorn handles it, then raises it once more: that one shall not spoil the exit code.
    signal.signal(signal.SIGTERM, _leave)
    with tracing("mamba-api"):
        _run(settings, load, listener)


def _run(settings: Settings, load: Callable[[], Settings], listener: int | None) -> None:
    config = uvicorn.Config(
        create_app(settings, load),
        host=settings.server.host,
        port=settings.server.port,
        loop="uvloop",
        http=RequestHeadLimitProtocol,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.server.shutdown_grace_seconds),
    )
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # the SIGINT that ended it, raised once more
        server.run(None if listener is None else [socket.socket(fileno=listener)])


def _leave(*_: object) -> None:
    raise SystemExit(0)
