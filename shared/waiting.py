"""Waiting for an event for a limited time, and cancellations that awaited code has hidden."""

import asyncio
from contextlib import suppress


async def wait_briefly(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set, at most `seconds`. Return whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


def raise_if_cancelled() -> None:
    """Raise the cancellation of the current task if other code has replaced it by an error.

    A library that awaits its clean-up after an error can hide a cancellation that arrives there.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
