"""The worker's `/metrics` port for Prometheus.

A separate thread serves it, so it responds even if the event loop is blocked. Several workers on
one host take consecutive ports.
"""

from collections.abc import Generator
from contextlib import contextmanager
from threading import Thread
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import start_http_server

from shared.settings import WorkerSettings

log = structlog.stdlib.get_logger()

#: Number of ports tried, starting at the configured one.
PORT_RANGE = 64


@contextmanager
def serve_metrics(settings: WorkerSettings) -> Generator[None]:
    """Serve `/metrics` while the context is open. Without a configured port, do nothing."""
    listening = _listen(settings) if settings.metrics_port else None
    try:
        yield
    finally:
        if listening:
            server, thread = listening
            server.shutdown()
            server.server_close()
            thread.join()


def _listen(settings: WorkerSettings) -> tuple[WSGIServer, Thread] | None:
    """Listen on the first free port. Return None if there is none: the worker runs without it."""
    host, first = settings.metrics_host, settings.metrics_port
    error_text: str | None = None
    for port in range(first, min(first + PORT_RANGE, 65_536)):
        try:
            listening = start_http_server(port, host)
        except OSError as error:
            error_text = error.strerror
        else:
            log.info("metrics.listening", message="Metrics port is listening", host=host, port=port)
            return listening
    log.error(
        "metrics.no_port",
        message="No free port for metrics; the worker runs without them",
        host=host,
        port=first,
        error=error_text,
    )
    return None
