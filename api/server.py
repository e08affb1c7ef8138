"""Serving the API with uvicorn."""

import math
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

import structlog
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.http.connection import LimitedHttpProtocol
from shared.settings import Settings
from shared.telemetry import logs
from shared.telemetry.tracing import tracing

log = structlog.stdlib.get_logger()


def serve(
    load: Callable[[], Settings],
    *,
    listener: int | None = None,
    extend: Callable[[FastAPI], None] = lambda _: None,
) -> None:
    """Run the API until SIGTERM or SIGINT, then end its streams and return.

    `load` reads the settings, at the start and when they change. `listener` is the file descriptor
    of a listening socket that several API processes share. `extend` adds routes to the application.
    """
    settings = load()
    logs.configure(settings.logging.level, settings.logging.format)
    # uvicorn raises the signal again after handling it; that must not change the exit code.
    signal.signal(signal.SIGTERM, _exit)
    with tracing("mamba-api"):
        app = create_app(settings, load)
        extend(app)
        _run(app, settings, listener)


def _run(app: FastAPI, settings: Settings, listener: int | None) -> None:
    config = uvicorn.Config(
        app,
        host=settings.server.host,
        port=settings.server.port,
        loop="uvloop",
        http=LimitedHttpProtocol,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.server.shutdown_grace_seconds),
    )
    server = _Server(config, demo=settings.openai.demo)
    with suppress(KeyboardInterrupt):  # uvicorn raises the SIGINT again
        server.run(None if listener is None else [socket.socket(fileno=listener)])


class _Server(uvicorn.Server):
    """Logs when its socket accepts connections. uvicorn starts the application before that."""

    def __init__(self, config: uvicorn.Config, *, demo: bool) -> None:
        super().__init__(config)
        self._demo = demo

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            log.info("api.started", message="API started", demo=self._demo)


def _exit(*_: object) -> None:
    raise SystemExit(0)
