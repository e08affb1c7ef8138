"""Workers run the runs of one chat one after the other, also if workers crash in between."""

import asyncio

from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.admission import Admission
from shared.settings import LimitSettings
from tests.support.fakes.runs import job_of, new_run
from tests.support.processes import Valkey
from tests.support.wait import until
from tests.support.worker_pool import (
    WorkerPool,
    open_worker_pool,
    run_forever,
    succeed,
    until_true,
    wait_for,
)


async def enqueue(redis: Redis, *names: str) -> None:
    """Queue runs of one chat, each behind the one before it."""
    admission = Admission(redis, live_ttl=600)
    for name in names:
        run = new_run(name)
        await admission.admit(
            run, job_of(run), LimitSettings(), when_busy="queue", max_waiting=len(names)
        )


async def test_next_run_starts_when_the_previous_one_ends(valkey: Valkey, redis: Redis) -> None:
    async with open_worker_pool(valkey.url, redis) as pool:
        finish = asyncio.Event()
        worker = pool.start_worker("a", wait_for(finish))
        await enqueue(redis, "run-1", "run-2", "run-3")
        await until_true(lambda: bool(worker.started))

        finish.set()

        await until(pool.is_empty)
        assert worker.started == ["run-1", "run-2", "run-3"]


async def test_worker_does_not_start_a_run_early(valkey: Valkey, redis: Redis) -> None:
    async with open_worker_pool(valkey.url, redis) as pool:
        finish = asyncio.Event()
        worker = pool.start_worker("a", wait_for(finish))
        await enqueue(redis, "run-1", "run-2")
        await until_true(lambda: bool(worker.started))

        await make_due(pool, "run-2")

        await until(lambda: is_deferred(redis, "run-2"))
        assert worker.started == ["run-1"]
        finish.set()
        await until(pool.is_empty)


async def test_recheck_starts_a_run_whose_predecessor_is_gone(valkey: Valkey, redis: Redis) -> None:
    async with open_worker_pool(valkey.url, redis) as pool:
        await enqueue(redis, "run-1", "run-2", "run-3")
        await redis.execute_command("ZREM", keys.QUEUE, "run-1")
        await redis.execute_command("DEL", keys.job("run-1"))
        worker = pool.start_worker("a", succeed)

        await make_due(pool, "run-3")

        await until(pool.is_empty)
        assert worker.started == ["run-2", "run-3"]


async def test_crash_before_the_release_starts_the_next_run(valkey: Valkey, redis: Redis) -> None:
    async with open_worker_pool(valkey.url, redis) as pool:
        crashing = pool.start_worker("a", run_forever)
        await enqueue(redis, "run-1", "run-2")
        await until_true(lambda: bool(crashing.started))
        await crashing.crash()

        worker = pool.start_worker("b", succeed, poll_seconds=0.1)

        await until(pool.is_empty)
        assert worker.started == ["run-1", "run-2"]


async def make_due(pool: WorkerPool, name: str) -> None:
    """Make a job due as the passing of time does."""
    await pool.redis.execute_command("ZADD", keys.QUEUE, "XX", 0, name)
    await pool.redis.execute_command("LPUSH", keys.wakeup(keys.QUEUE), "1")


async def is_deferred(redis: Redis, name: str) -> bool:
    return float(await redis.execute_command("ZSCORE", keys.QUEUE, name)) > 0
