"""Waiting for an event for a limited time, and cancellations that awaited code has hidden."""

import asyncio

import pytest

from shared.waiting import raise_if_cancelled, wait_briefly


async def test_wait_ends_when_the_event_is_set() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)

    assert await wait_briefly(event, 60)


async def test_wait_ends_after_the_time() -> None:
    assert not await wait_briefly(asyncio.Event(), 0.001)


async def test_hidden_cancellation_is_raised() -> None:
    async def hide() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise_if_cancelled()

    task = asyncio.create_task(hide())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_task_without_a_cancellation_continues() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(60)

    raise_if_cancelled()
