"""Waiting for an event for a limited time."""

import asyncio
from contextlib import suppress


async def wait_briefly(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set, at most `seconds`. Return whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
