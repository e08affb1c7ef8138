"""Drains an API process: it reports not ready, then ends its streams so that clients reconnect.

uvicorn waits for open responses before it ends the lifespan. Draining therefore installs its signal
handlers in front of the server's, which works with any server command.
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
    """The draining state of this process.

    `requested` makes the readiness check fail; `started` ends the streams, after `delay_seconds`.
    """

    def __init__(self, *, delay_seconds: float) -> None:
        self._delay_seconds = delay_seconds
        self._callbacks: set[Callable[[], None]] = set()
        self.requested = False
        self.started = False

    def on_start(self, callback: Callable[[], None]) -> "_Registration":
        """Call `callback` if draining starts within the returned context."""
        return _Registration(self._callbacks, callback)

    def start(self) -> None:
        self.requested = self.started = True
        log.info(
            "api.draining",
            message="Ending open streams before the process exits",
            streams=len(self._callbacks),
        )
        for callback in list(self._callbacks):
            callback()

    @contextmanager
    def on_signal(self) -> Generator[None]:
        """Drain on SIGTERM or SIGINT, then call the server's handler, which ends the process."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        previous = {number: signal.getsignal(number) for number in _SIGNALS}

        def drain(number: int) -> None:
            self.start()
            handler = previous[signal.Signals(number)]
            if callable(handler):
                handler(number, None)

        def on_signal(number: int, _: FrameType | None) -> None:
            if self.requested:
                loop.call_soon_threadsafe(drain, number)
            else:
                self.requested = True
                loop.call_soon_threadsafe(loop.call_later, self._delay_seconds, drain, number)

        server_log = logging.getLogger("uvicorn.error")
        server_log.addFilter(self._is_unexpected)
        for number in _SIGNALS:
            signal.signal(number, on_signal)
        try:
            yield
        finally:
            server_log.removeFilter(self._is_unexpected)
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _is_unexpected(self, record: logging.LogRecord) -> bool:
        """Drop uvicorn's error about incomplete responses: draining ends them on purpose."""
        return not (self.started and "without completing response" in record.getMessage())


class _Registration:
    """Keeps a callback in a set while the context lasts. There is one for each stream."""

    __slots__ = ("_callback", "_callbacks")

    def __init__(self, callbacks: set[Callable[[], None]], callback: Callable[[], None]) -> None:
        self._callbacks = callbacks
        self._callback = callback

    def __enter__(self) -> None:
        self._callbacks.add(self._callback)

    def __exit__(self, *_: object) -> None:
        self._callbacks.discard(self._callback)
