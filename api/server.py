"""The API process under uvicorn."""

import math
import signal

import uvicorn

from api.app import create_app
from shared import logs
from shared.settings import Settings


def serve(settings: Settings) -> None:
    """Run the API until SIGTERM or SIGINT; then end its streams and return."""
    logs.configure(settings.logging)
    # uvicorn handles it, then raises it once more: that one shall not spoil the exit code.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    uvicorn.run(
        create_app(settings),
        host=settings.server.host,
        port=settings.server.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.server.shutdown_grace_seconds),
    )
