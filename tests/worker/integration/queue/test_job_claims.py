"""Claims that wait for a wakeup token in the same round trip."""

import asyncio
import time
from typing import cast

import pytest

from shared.redis import keys
from shared.redis.client import Redis, RedisError
from tests.support.worker_pool import PROMPT, WorkerPool
from worker.queue.job_claims import Claim, JobClaims


@pytest.fixture
def claims(pool: WorkerPool) -> JobClaims:
    redis = cast("Redis", pool.connect("a"))
    return JobClaims(
        redis,
        redis,
        worker_id="a",
        lease_ms=60_000,
        queues=lambda: (keys.MAIN_QUEUE, "other"),
        background_share=lambda: 0.1,
    )


async def start_claim(claims: JobClaims, pool: WorkerPool) -> asyncio.Task[Claim]:
    """Start a claim that waits for a token. A claim before it loads the script."""
    await claims.claim(1, running=0)
    waiting = asyncio.create_task(claims.wait_and_claim(4, running=0, seconds=3))
    await pool.wait_for_idle(1)
    return waiting


def ids(claim: Claim) -> list[str]:
    return [job.id for job in claim.jobs]


@pytest.mark.parametrize("queue", [keys.MAIN_QUEUE, "other"])
async def test_new_job_is_claimed_in_the_round_trip_of_the_wait(
    claims: JobClaims, pool: WorkerPool, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await start_claim(claims, pool)
    monkeypatch.delattr(JobClaims, "claim")

    await pool.enqueue("job", queue=queue)

    assert ids(await waiting) == ["job"]
    assert await pool.leased_by("job") == "a"


async def test_lease_counts_from_the_end_of_the_wait(claims: JobClaims, pool: WorkerPool) -> None:
    waiting = await start_claim(claims, pool)
    wait_began = time.monotonic()
    await asyncio.sleep(1)

    await pool.enqueue("job")
    claim = await waiting

    assert wait_began + 0.5 < claim.began < time.monotonic()


async def test_wait_without_a_token_ends_with_a_claim(claims: JobClaims, pool: WorkerPool) -> None:
    await pool.enqueue("job")
    await pool.redis.execute_command("DEL", keys.wakeup(keys.QUEUE))

    claim = await claims.wait_and_claim(4, running=0, seconds=0.1)
    assert ids(claim) == ["job"]  # found without a token
    assert ids(await claims.wait_and_claim(4, running=0, seconds=0.1)) == []


async def test_interrupted_wait_ends_at_once(claims: JobClaims, pool: WorkerPool) -> None:
    waiting = await start_claim(claims, pool)

    async with asyncio.timeout(PROMPT):
        await claims.interrupt()
        claim = await waiting

    assert claim.jobs == []


async def test_waiting_claim_works_after_script_flush(claims: JobClaims, pool: WorkerPool) -> None:
    waiting = await start_claim(claims, pool)

    await pool.redis.execute_command("SCRIPT", "FLUSH")
    await pool.enqueue("job")

    assert ids(await waiting) == ["job"]


async def test_claim_is_kept_if_the_wait_fails(claims: JobClaims, pool: WorkerPool) -> None:
    await claims.claim(1, running=0)
    await pool.enqueue("job")
    await break_wakeups(pool)

    assert ids(await claims.wait_and_claim(4, running=0, seconds=3)) == ["job"]


async def test_failed_wait_without_a_job_raises(claims: JobClaims, pool: WorkerPool) -> None:
    await claims.claim(1, running=0)
    await break_wakeups(pool)

    with pytest.raises(RedisError, match="WRONGTYPE"):
        await claims.wait_and_claim(4, running=0, seconds=3)


async def break_wakeups(pool: WorkerPool) -> None:
    await pool.redis.execute_command("SET", keys.wakeup(keys.QUEUE), "not a list", "PX", 60_000)
