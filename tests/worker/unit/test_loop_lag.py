"""A worker waits until its event loop has caught up, but not for long."""

import asyncio
import time

from worker.queue import loop_lag
from worker.queue.loop_lag import wait_for_low_lag


async def _block_loop(times: int) -> None:
    for _ in range(times):
        time.sleep(2 * loop_lag.MAX_LAG_SECONDS)  # noqa: ASYNC251  (the lag under test)
        await asyncio.sleep(0)


async def test_wait_ends_when_callbacks_run_on_time_again() -> None:
    blocking = asyncio.create_task(_block_loop(times=4))

    await wait_for_low_lag()

    assert blocking.done()


async def test_wait_for_a_lasting_lag_is_bounded() -> None:
    blocking = asyncio.create_task(_block_loop(times=10**6))
    began = time.monotonic()

    async with asyncio.timeout(60):
        await wait_for_low_lag()

    assert time.monotonic() - began >= loop_lag.MAX_WAIT_SECONDS
    blocking.cancel()
