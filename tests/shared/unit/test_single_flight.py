"""A cached value is loaded once for all callers that want it at the same time."""

import asyncio

import pytest

from shared.single_flight import SingleFlightCache


class _Source:
    def __init__(self) -> None:
        self.loads = 0
        self.error: Exception | None = None
        self.released = asyncio.Event()
        self.released.set()

    async def load(self) -> int:
        self.loads += 1
        number = self.loads
        await self.released.wait()
        if self.error:
            raise self.error
        return number


async def test_concurrent_callers_share_one_load() -> None:
    source = _Source()
    cache = SingleFlightCache(source.load)
    assert await asyncio.gather(*(cache.get(max_age_seconds=60) for _ in range(3))) == [1, 1, 1]
    assert cache.latest == 1


async def test_an_old_value_is_loaded_again() -> None:
    cache = SingleFlightCache(_Source().load)
    await cache.get(max_age_seconds=60)
    assert await cache.get(max_age_seconds=60) == 1
    assert await cache.get(max_age_seconds=-1) == 2


async def test_a_cancelled_caller_does_not_cancel_the_load() -> None:
    source = _Source()
    source.released.clear()
    cache = SingleFlightCache(source.load)
    first, second = (asyncio.create_task(cache.get(max_age_seconds=60)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.released.set()
    assert await second == 1


async def test_an_error_is_raised_and_not_cached() -> None:
    source = _Source()
    cache = SingleFlightCache(source.load)
    await cache.get(max_age_seconds=60)
    cache.invalidate()
    source.error = ConnectionError()
    with pytest.raises(ConnectionError):
        await cache.get(max_age_seconds=60)
    source.error = None
    assert await cache.get(max_age_seconds=60) == 3


async def test_invalidate_forces_a_load() -> None:
    cache = SingleFlightCache(_Source().load)
    await cache.get(max_age_seconds=60)
    cache.invalidate()
    assert await cache.get(max_age_seconds=60) == 2
