"""The fair order after pauses, outages and expired jobs."""

from functools import partial

from shared.queue.job import GenerateTitle
from shared.queue.job_queue import JobQueue
from shared.queue.queue_depth import read_depths
from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from tests.support.system.queue_simulation import QueueSimulation
from tests.support.wait import until
from worker.queue import lease_scripts


async def test_waiting_job_is_not_behind_new_ones_after_an_idle_hour(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    for number in range(3):
        await simulation.add(f"early-{number}", 100)
        await simulation.run_to_the_end()
    waiting = await simulation.add("waiting", 1)
    await redis.execute_command("DEL", keys.virtual_clock(keys.QUEUE))  # as it expires

    await simulation.add("new", 1)
    await simulation.claim()

    assert simulation.claimed[-1] == waiting


async def test_time_without_a_worker_is_not_service(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    job = await _job_without_a_worker_for_an_hour(redis, simulation)
    simulation.slots = 2

    await simulation.claim()
    await simulation.end_next()

    assert simulation.claimed == [job, job]
    assert 4.9 <= await _mean_seconds(redis) < 60


async def test_time_by_which_the_clock_jumps_is_not_service(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    job = await _job_without_a_worker_for_an_hour(redis, simulation)

    lost = await lease_scripts.renew(
        redis,
        queue=keys.QUEUE,
        lease_ms=60_000,
        lease_prefix=keys.lease(""),
        worker_id="worker",
        job_ids=[job],
    )
    await simulation.end_next()

    assert lost == []
    assert 4.9 <= await _mean_seconds(redis) < 60


async def _job_without_a_worker_for_an_hour(redis: Redis, simulation: QueueSimulation) -> str:
    """Add a job of 2 s that was claimed 3 s before that hour, and return its id."""
    job = await simulation.add("a", 2)
    await simulation.claim()
    hour_ago = await redis_time_ms(redis) - 3_600_000
    await redis.execute_command("HSET", keys.fair_job(job), "started", hour_ago - 3000)
    await redis.execute_command("ZADD", keys.QUEUE, hour_ago, job)
    await redis.execute_command("DEL", keys.lease(job))
    return job


async def _mean_seconds(redis: Redis) -> float:
    depth = (await read_depths(redis, [keys.MAIN_QUEUE]))[keys.MAIN_QUEUE]
    assert depth.mean_run_ms is not None
    return depth.mean_run_ms / 1000


async def test_backlogged_owner_is_not_starved_by_new_owners(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=2)
    for _ in range(1000):
        await simulation.add("many", 10)
    await simulation.claim()
    for number in range(400):
        await simulation.add(f"new-{number}", 10)
        await simulation.end_next()
        await simulation.claim()

    assert simulation.claims_of("many") > 15


async def test_expired_titles_do_not_stay_in_the_queue(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("b", 1)
    titles = ["title-0", "title-1", "title-2"]
    for title in titles:
        await JobQueue(redis).enqueue_title(_title(title), "a", seconds=0.01)
    await until(partial(_is_expired, redis, titles[-1]))

    claimed: list[str] = []
    for number in range(12):
        await simulation.add(f"b-{number}", 1)
        claimed += await _claim_and_end(redis)

    assert set(titles) <= set(claimed)


def _title(title_id: str) -> GenerateTitle:
    return GenerateTitle(
        title_id=title_id, request_id="request", model="model", max_length=40, excerpt="Hello"
    )


async def _is_expired(redis: Redis, job_id: str) -> bool:
    return not await redis.execute_command("EXISTS", keys.fair_job(job_id))


async def _claim_and_end(redis: Redis) -> list[str]:
    found = await lease_scripts.claim(
        redis,
        queues=[keys.QUEUE],
        lease_ms=60_000,
        count=1,
        running=0,
        background_share=0.1,
        worker_id="worker",
    )
    claimed = [job_id.decode() for _, job_id, _, _ in found]
    for job_id in claimed:
        await lease_scripts.release(
            redis,
            queue=keys.QUEUE,
            job_id=job_id,
            worker_id="worker",
            outcome="done",
        )
    return claimed
