import pytest

from shared.queue.queue_depth import QueueDepth
from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from tests.support.fakes.jobs import lease_job, main_depth, put_job


async def test_empty_queue_has_depth_zero(redis: Redis) -> None:
    assert await main_depth(redis) == QueueDepth(waiting=0, running=0, deferred=0, oldest_wait_ms=0)


async def test_waiting_running_and_deferred_jobs_are_counted(redis: Redis) -> None:
    await put_job(redis, "oldest", due=-5000)
    await put_job(redis, "old", due=-2000)
    for name in ("running-1", "running-2", "running-3"):
        await put_job(redis, name, due=3000)
        await lease_job(redis, name)
    await put_job(redis, "later", due=60_000)

    depth = await main_depth(redis)

    assert (depth.waiting, depth.running, depth.deferred) == (2, 3, 1)
    assert 5000 <= depth.oldest_wait_ms < 60_000


async def test_due_job_with_a_lease_counts_as_waiting(redis: Redis) -> None:
    await put_job(redis, "job", due=-1)
    await lease_job(redis, "job")

    assert (await main_depth(redis)).waiting == 1


async def test_deferred_job_behind_1500_leases_is_counted(redis: Redis) -> None:
    for number in range(1500):
        await put_job(redis, f"job-{number:04}", due=60_000)
        await lease_job(redis, f"job-{number:04}")
    await put_job(redis, "later", due=90_000)

    depth = await main_depth(redis)

    assert (depth.running, depth.deferred) == (1500, 1)


async def test_2500_deferred_jobs_behind_20_leases_are_counted(redis: Redis) -> None:
    for number in range(2500):
        await put_job(redis, f"later-{number:04}", due=60_000 + number)
    for number in range(20):
        await put_job(redis, f"running-{number}", due=30_000)
        await lease_job(redis, f"running-{number}")
    await put_job(redis, "soon", due=20_000)

    depth = await main_depth(redis)

    assert (depth.running, depth.deferred) == (20, 2501)


@pytest.mark.parametrize(("ended", "mean"), [(1, None), (4, 21), (32, 1)])
async def test_running_jobs_count_in_the_mean_of_a_new_queue(
    redis: Redis, ended: int, mean: float | None
) -> None:
    started = await redis_time_ms(redis) - 10_000
    for number in range(8):
        await put_job(redis, f"running-{number}", due=60_000)
        await lease_job(redis, f"running-{number}")
        fair_job = keys.fair_job(f"running-{number}")
        await redis.execute_command("HSET", fair_job, "started", started)
        await redis.execute_command("PEXPIRE", fair_job, 60_000)
    clock = keys.virtual_clock(keys.QUEUE)
    await redis.execute_command("HSET", clock, "cost", "1", "ended", ended)
    await redis.execute_command("PEXPIRE", clock, 60_000)

    mean_run_ms = (await main_depth(redis)).mean_run_ms

    assert mean_run_ms == (mean and pytest.approx(mean * 1000, rel=0.2))
