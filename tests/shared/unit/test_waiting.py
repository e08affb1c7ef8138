"""Waiting for an event for a limited time."""

import asyncio

from shared.waiting import wait_briefly


async def test_wait_ends_when_the_event_is_set() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)

    assert await wait_briefly(event, 60)


async def test_wait_ends_after_the_time() -> None:
    assert not await wait_briefly(asyncio.Event(), 0.001)
