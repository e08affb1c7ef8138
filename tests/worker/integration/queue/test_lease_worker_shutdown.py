"""Workers that drain, stop, or lose Redis."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from shared.redis.client import REDIS_UNAVAILABLE, Redis, RedisError
from tests.support.processes import Valkey, start_all, stop_all
from tests.support.wait import until
from tests.support.worker_pool import (
    PROMPT,
    PoolWorker,
    WorkerPool,
    do_nothing,
    open_worker_pool,
    run_forever,
    succeed,
    until_true,
    wait_for,
)
from worker.queue import lease_scripts


async def test_draining_worker_finishes_jobs_and_claims_none(pool: WorkerPool) -> None:
    finish = asyncio.Event()
    worker = pool.start_worker("a", wait_for(finish), drain_seconds=10)
    await pool.enqueue("job")
    await until_true(lambda: worker.started == ["job"])

    worker.stop.set()
    await until_true(lambda: not worker.lease_worker.allow_pick_jobs)
    await pool.enqueue("new")
    other = pool.start_worker("b", succeed)

    await until_true(lambda: other.started == ["new"], seconds=PROMPT)
    assert worker.task
    assert not worker.task.done()
    finish.set()
    await worker.task
    assert worker.started == ["job"]
    assert await pool.is_empty()


async def test_jobs_running_after_the_drain_are_handed_over(pool: WorkerPool) -> None:
    worker = pool.start_worker("a", run_forever, drain_seconds=0.1, lease_seconds=60)
    await pool.enqueue("one", "two")
    await until_true(lambda: len(worker.started) == 2)
    successor = pool.start_worker("b", succeed)
    await pool.wait_for_idle(1)

    await worker.shut_down()

    await until_true(lambda: sorted(successor.started) == ["one", "two"])
    await until(pool.is_empty)


async def test_job_queued_during_a_drain_starts_elsewhere(pool: WorkerPool) -> None:
    finish = asyncio.Event()
    stopping = pool.start_worker("a", wait_for(finish), drain_seconds=10)
    await pool.enqueue("job")
    await until_true(lambda: stopping.started == ["job"])
    await pool.wait_for_idle(1)
    other = pool.start_worker("b", succeed)
    await pool.wait_for_idle(2)

    # The stopping worker has waited longest, so the next token would go to it.
    stopping.stop.set()
    await until_true(lambda: not stopping.lease_worker.allow_pick_jobs)
    await pool.enqueue("new")

    await until_true(lambda: other.started == ["new"], seconds=PROMPT)
    finish.set()
    await stopping.shut_down()


async def test_idle_worker_stops_at_once(pool: WorkerPool) -> None:
    worker = pool.start_worker("a", succeed)
    await pool.wait_for_idle(1)

    async with asyncio.timeout(PROMPT):  # its wait for a token would last longer
        await worker.shut_down()


async def test_worker_that_cannot_end_its_wait_still_drains(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RedisError("BUSY Valkey is busy running a script.")

    monkeypatch.setattr(lease_scripts, "push_token", fail)
    worker = pool.start_worker("a", run_forever, lease_seconds=60)
    await pool.enqueue("job")
    await until_true(lambda: worker.started == ["job"])

    await worker.shut_down()

    assert await pool.leased_by("job") is None


async def test_failed_release_does_not_stop_the_others(pool: WorkerPool) -> None:
    worker = PoolWorker("a", pool.connect("a"), run_forever, lease_seconds=60)
    claimed, proceed = worker.hold_claims()

    async def fail_once() -> None:
        worker.lease_worker.before_release = do_nothing
        raise RedisError("BUSY Valkey is busy running a script.")

    worker.lease_worker.before_release = fail_once
    await pool.enqueue("one", "two", "three")
    worker.start()
    await claimed.wait()

    worker.stop.set()
    await until_true(lambda: not worker.lease_worker.allow_pick_jobs)
    proceed.set()
    await worker.shut_down()

    leased = [name for name in ("one", "two", "three") if await pool.leased_by(name)]
    assert len(leased) == 1


async def test_job_claimed_during_a_stop_is_released(pool: WorkerPool) -> None:
    worker = PoolWorker("a", pool.connect("a"), run_forever, lease_seconds=60)
    claimed, proceed = worker.hold_claims()
    await pool.enqueue("job")
    worker.start()
    await claimed.wait()

    worker.stop.set()
    await until_true(lambda: not worker.lease_worker.allow_pick_jobs)
    proceed.set()
    await worker.shut_down()

    assert worker.started == []
    assert await pool.leased_by("job") is None
    successor = pool.start_worker("b", succeed)
    await until_true(lambda: successor.started == ["job"], seconds=PROMPT)


async def test_redis_restart_loses_no_job(tmp_path: Path) -> None:
    valkey = Valkey(data=tmp_path)
    await start_all(valkey)
    redis = valkey.client()
    finish = asyncio.Event()
    async with open_worker_pool(valkey.url, redis) as pool:
        worker = pool.start_worker("a", wait_for(finish), poll_seconds=0.05, concurrency=2)
        await pool.enqueue("one", "two", "three")
        await until_true(lambda: len(worker.started) == 2)

        await valkey.kill()
        await until_true(lambda: not worker.lost)
        valkey.start()
        await valkey.ready()
        finish.set()

        async def is_empty() -> bool:
            with suppress(*REDIS_UNAVAILABLE):
                return await pool.is_empty()
            return False

        await until(is_empty)
        assert {"one", "two", "three"} == set(worker.started)
        assert worker.task
        assert not worker.task.done()
    await redis.aclose()
    await stop_all(valkey)


async def test_worker_stops_while_redis_is_unavailable() -> None:
    valkey = Valkey()
    await start_all(valkey)
    redis = valkey.client()
    async with open_worker_pool(valkey.url, redis) as pool:
        worker = pool.start_worker("a", run_forever, poll_seconds=0.05)
        await pool.enqueue("job")
        await until_true(lambda: worker.started == ["job"])
        await valkey.kill()

        async with asyncio.timeout(10):
            await worker.shut_down()
    await redis.aclose()
    await stop_all(valkey)


async def test_worker_continues_after_redis_rejected_writes(pool: WorkerPool, redis: Redis) -> None:
    worker = pool.start_worker("a", succeed, poll_seconds=0.05)
    await redis.execute_command("CONFIG", "SET", "min-replicas-to-write", 1)
    try:
        await until(lambda: has_rejected_writes(redis))
    finally:
        await redis.execute_command("CONFIG", "SET", "min-replicas-to-write", 0)

    await pool.enqueue("one")

    await until_true(lambda: "one" in worker.started)


async def has_rejected_writes(redis: Redis) -> bool:
    errors: dict[str, object] = await redis.execute_command("INFO", "errorstats")
    return "errorstat_NOREPLICAS" in errors
