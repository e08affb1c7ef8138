"""A single-waiter event notifies one task."""

import asyncio

import pytest

from shared.streams.single_waiter_event import SingleWaiterEvent


async def test_wait_returns_once_the_event_is_set() -> None:
    event = SingleWaiterEvent()
    waiting = asyncio.create_task(event.wait())
    await asyncio.sleep(0)
    assert not waiting.done()

    event.set()
    event.set()

    await waiting


async def test_set_before_wait_is_not_lost_until_clear() -> None:
    event = SingleWaiterEvent()
    event.set()

    await event.wait()
    await event.wait()
    event.clear()
    waiting = asyncio.create_task(event.wait())
    await asyncio.sleep(0)

    assert not waiting.done()
    waiting.cancel()


async def test_cancelled_wait_leaves_a_usable_event() -> None:
    event = SingleWaiterEvent()
    waiting = asyncio.create_task(event.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    event.set()

    await event.wait()
