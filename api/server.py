"""Serving the API with uvicorn."""

import math
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from api.app import create_app
from api.http.connection import LimitedHttpProtocol
from shared.settings import Settings
from shared.telemetry import logs
from shared.telemetry.tracing import tracing


def serve(load: Callable[[], Settings], *, listener: int | None = None) -> None:
    """Run the API until SIGTERM or SIGINT, then end its streams and return.

    `load` reads the settings, at the start and when they change. `listener` is the file descriptor
    of a listening socket that several API processes share.
    """
    settings = load()
    logs.configure(settings.logging.level, settings.logging.format)
    # uvicorn raises the signal again after handling it; that must not change the exit code.
    signal.signal(signal.SIGTERM, _exit)
    with tracing("mamba-api"):
        _run(settings, load, listener)


def _run(settings: Settings, load: Callable[[], Settings], listener: int | None) -> None:
    config = uvicorn.Config(
        create_app(settings, load),
        host=settings.server.host,
        port=settings.server.port,
        loop="uvloop",
        http=LimitedHttpProtocol,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.server.shutdown_grace_seconds),
    )
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises the SIGINT again
        server.run(None if listener is None else [socket.socket(fileno=listener)])


def _exit(*_: object) -> None:
    raise SystemExit(0)
