"""A wakeup notifies one waiting task."""

import asyncio

import pytest

from shared.streams.wakeup import Wakeup


async def test_wait_returns_once_the_wakeup_is_set() -> None:
    wakeup = Wakeup()
    waiting = asyncio.create_task(wakeup.wait())
    await asyncio.sleep(0)
    assert not waiting.done()

    wakeup.set()
    wakeup.set()

    await waiting


async def test_set_before_wait_is_not_lost_until_clear() -> None:
    wakeup = Wakeup()
    wakeup.set()

    await wakeup.wait()
    await wakeup.wait()
    wakeup.clear()
    waiting = asyncio.create_task(wakeup.wait())
    await asyncio.sleep(0)

    assert not waiting.done()
    waiting.cancel()


async def test_cancelled_wait_leaves_a_usable_wakeup() -> None:
    wakeup = Wakeup()
    waiting = asyncio.create_task(wakeup.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    wakeup.set()

    await wakeup.wait()
