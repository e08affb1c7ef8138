"""The worker's own port for Prometheus. A thread serves it: a worker that stands still answers too.

Of several workers on one host each takes the next port that is free.
"""

from collections.abc import Generator
from contextlib import contextmanager
from threading import Thread
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import start_http_server

from shared.settings import WorkerSettings

log = structlog.stdlib.get_logger()

#: Workers of one host that find a port each.
PORTS = 16


@contextmanager
def metrics_port(settings: WorkerSettings) -> Generator[None]:
    """Answer at `/metrics` for as long as the context lasts; without a port, do nothing."""
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
    """None where no port is free: the worker works on unseen, since answers count for more."""
    host, first = settings.metrics_host, settings.metrics_port
    problem: str | None = None
    for port in range(first, min(first + PORTS, 65_536)):
        try:
            listening = start_http_server(port, host)
        except OSError as error:
            problem = error.strerror
        else:
            log.info("metrics.listening", host=host, port=port)
            return listening
    log.error("metrics.no_port", host=host, port=first, error=problem)
    return None
