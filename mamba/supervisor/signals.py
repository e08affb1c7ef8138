"""Signals that end a supervisor, as a queue that can be awaited."""

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal interrupted the command."""


class SignalQueue:
    """The signals received and not yet handled."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue = asyncio.Queue[None]()

    async def next(self) -> None:
        await self._queue.get()

    def receive(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, None)


@contextmanager
def queued_signals() -> Generator[SignalQueue]:
    """Queue SIGINT, SIGTERM and SIGHUP, and ignore them afterwards, when the process is ending.

    `loop.add_signal_handler` would restore the default handlers at the end, and a late Ctrl-C would
    then change the exit code. If SIGHUP is already ignored (nohup), it stays ignored.
    """
    signals = SignalQueue(asyncio.get_running_loop())
    handled = [number for number in SIGNALS if not _is_ignored_hangup(number)]
    for number in handled:
        signal.signal(number, signals.receive)
    try:
        yield signals
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_IGN)


def _is_ignored_hangup(number: signal.Signals) -> bool:
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
