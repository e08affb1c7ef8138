"""How an API process leaves: not ready any more, streams ended so that clients come back elsewhere.

uvicorn waits for open responses before it ends the lifespan, so this stands before its own signal
handler: it is told first, under whatever server command the app runs.
"""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

import structlog

log = structlog.stdlib.get_logger()

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Draining:
    """`asked` flips readiness; `begun` ends the streams."""

    def __init__(self, *, delay_seconds: float) -> None:
        self._delay_seconds = delay_seconds
        self._watchers: set[Callable[[], None]] = set()
        self.requested = False
        self.started = False

    @contextmanager
    def on_start(self, watcher: Callable[[], None]) -> Generator[None]:
        """Call `watcher` when draining begins."""
        self._watchers.add(watcher)
        try:
            yield
        finally:
            self._watchers.discard(watcher)

    def start(self) -> None:
        self.requested = self.started = True
        log.info("api.draining", streams=len(self._watchers))
        for watcher in list(self._watchers):
            watcher()

    @contextmanager
    def on_signal(self) -> Generator[None]:
        """Drain at SIGTERM or SIGINT, then let the server's own handler end the process."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        previous = {number: signal.getsignal(number) for number in _SIGNALS}

        def leave(number: int) -> None:
            self.start()
            handler = previous[signal.Signals(number)]
            if callable(handler):
                handler(number, None)

        def on_signal(number: int, _: FrameType | None) -> None:
            if self.requested:
                loop.call_soon_threadsafe(leave, number)
            else:
                self.requested = True
                loop.call_soon_threadsafe(loop.call_later, self._delay_seconds, leave, number)

        server_log = logging.getLogger("uvicorn.error")
        server_log.addFilter(self._is_news)
        for number in _SIGNALS:
            signal.signal(number, on_signal)
        try:
            yield
        finally:
            server_log.removeFilter(self._is_news)
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _is_news(self, record: logging.LogRecord) -> bool:
        """Uvicorn calls a response that is left unfinished an error; while draining it is meant."""
        return not (self.started and "without completing response" in record.getMessage())
