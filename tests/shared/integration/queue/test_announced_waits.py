from shared.queue.announced_waits import (
    DEFAULT_MARGIN,
    AnnouncedWait,
    LikelyWait,
    record_announced_waits,
)
from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from tests.support.system.queue_simulation import QueueSimulation
from worker.queue import lease_scripts


async def _claim(redis: Redis) -> AnnouncedWait | None:
    [(_, _, _, announced)] = await lease_scripts.claim(
        redis,
        queues=[keys.QUEUE],
        lease_ms=60_000,
        count=1,
        running=0,
        background_share=0.1,
        worker_id="worker",
    )
    return AnnouncedWait.parse(announced)


async def _announce(redis: Redis, name: str, wait: tuple[int, int], *, seconds_ago: int) -> None:
    at = await redis_time_ms(redis) - seconds_ago * 1000
    text = f"{at} {wait[0]} {wait[1]} ordered"
    await redis.execute_command("HSET", keys.fair_job(name), "announced", text)


async def _margin(redis: Redis) -> float:
    return float(
        await redis.execute_command("HGET", keys.virtual_clock(keys.QUEUE), "ordered_margin")
    )


async def test_claim_returns_the_first_announced_wait_once(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    name = await simulation.add("a", 1)
    await record_announced_waits(redis, {name: LikelyWait(0, 7)})
    await record_announced_waits(redis, {name: LikelyWait(0, 3), "gone": LikelyWait(1, 2)})

    first = await _claim(redis)
    await redis.execute_command("ZADD", keys.QUEUE, await redis_time_ms(redis) - 1, name)

    assert first is not None
    assert (first.shortest, first.longest) == (0, 7)
    assert first.real < 5
    assert await _claim(redis) is None
    assert not await redis.execute_command("EXISTS", keys.fair_job("gone"))


async def test_late_start_widens_the_next_forecast(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    for seconds_ago, name in ((20, "late"), (10, "inside")):
        job = await simulation.add(name, 1)
        await _announce(redis, job, (5, 15), seconds_ago=seconds_ago)

    await _claim(redis)
    after_late = await _margin(redis)
    await _claim(redis)
    after_inside = await _margin(redis)

    assert DEFAULT_MARGIN < after_inside < after_late


async def test_margin_has_bounds(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    for number in range(40):
        job = await simulation.add(f"owner-{number}", 1)
        await _announce(redis, job, (0, 1), seconds_ago=60)
        await _claim(redis)

    assert await _margin(redis) == 4
