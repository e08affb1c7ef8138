import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The user wants everything to end."""


class SignalQueue:
    """The requests to end that have come and not been taken yet."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting = asyncio.Queue[None]()

    async def next(self) -> None:
        await self._waiting.get()

    def receive(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._waiting.put_nowait, None)


@contextmanager
def heard_interrupts() -> Generator[SignalQueue]:
    """Collect SIGINT, SIGTERM and SIGHUP; after that ignore them, for the process is about to end.

    `loop.add_signal_handler` would put the defaults back at the end, and a late Ctrl-C would then
    spoil the exit code. A SIGHUP that is ignored (nohup) stays so.
    """
    interrupts = SignalQueue(asyncio.get_running_loop())
    heard = [number for number in SIGNALS if not _is_muted_hangup(number)]
    for number in heard:
        signal.signal(number, interrupts.receive)
    try:
        yield interrupts
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_IGN)


def _is_muted_hangup(number: signal.Signals) -> bool:
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
