import statistics

import pytest

from shared.queue.job_queue import JobQueue
from shared.queue.queue_depth import read_depths
from shared.queue.queue_positions import QueuePosition, QueuePositions
from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from tests.support.system.jains_index import jains_index
from tests.support.system.queue_simulation import QueueSimulation


async def test_single_runs_wait_one_service_time_beside_10000(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=32)
    for _ in range(2000):
        await simulation.add("many", 10)
    await simulation.run_until(20)

    others: list[str] = []
    for number in range(100):
        others.append(await simulation.add(f"other-{number}", 10))
        await simulation.run_until(21 + number)

    await simulation.run_until(140)
    waits = [simulation.wait_of(name) for name in others]
    assert statistics.quantiles(waits, n=100)[-1] <= 10


async def test_owners_with_unequal_runs_get_equal_work(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=6)
    for owner, seconds, jobs in (("a", 1, 900), ("b", 5, 200), ("c", 30, 40), ("d", 8, 120)):
        for _ in range(jobs):
            await simulation.add(owner, seconds)

    await simulation.run_until(300)

    assert jains_index(simulation.work) >= 0.95
    assert sum(simulation.work.values()) >= 6 * 300 - 6 * 30


async def test_work_is_in_proportion_to_weight(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=4)
    for _ in range(400):
        await simulation.add("standard", 2)
        await simulation.add("premium", 2, weight=3)

    await simulation.run_until(200)

    ratio = simulation.work["premium"] / simulation.work["standard"]
    assert 2.7 < ratio < 3.3


async def test_owner_with_long_runs_is_not_starved_by_new_owners(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=2)
    await simulation.add("long", 60)
    await simulation.claim()
    for number in range(20):
        await simulation.add(f"before-{number}", 1)
    waiting = await simulation.add("long", 1)
    for number in range(3000):
        if waiting in simulation.claimed_at:
            break
        await simulation.end_next()
        await simulation.claim()
        await simulation.add(f"new-{number}", 1)

    assert waiting in simulation.claimed_at


async def test_recovered_job_is_claimed_first(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    recovered = await simulation.add("a", 1)
    await simulation.claim()
    await simulation.add("b", 1)
    await redis.execute_command("ZADD", keys.QUEUE, await redis_time_ms(redis) - 1, recovered)
    simulation.slots = 2

    await simulation.claim()

    assert simulation.claimed == [recovered, recovered]


async def test_positions_follow_the_fair_order(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    many = [await simulation.add("many", 1) for _ in range(5)]
    one = await simulation.add("one", 1)

    positions = await QueuePositions(redis).read([*many, one])

    assert positions == [QueuePosition(position, 6) for position in (1, 3, 4, 5, 6, 2)]


async def test_removed_first_job_is_followed_by_the_owners_next(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    first, second = [await simulation.add("a", 1) for _ in range(2)]
    other = await simulation.add("b", 1)

    await JobQueue(redis).remove(first)

    assert await QueuePositions(redis).read([other, second]) == [
        QueuePosition(1, 2),
        QueuePosition(2, 2),
    ]


async def test_job_that_becomes_due_takes_its_fair_position(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("a", 30, chat="chat")
    await simulation.claim()
    later = await simulation.add("a", 1, chat="chat")
    others = [await simulation.add(owner, 1) for owner in "bc"]

    await simulation.end_next()
    await simulation.run_to_the_end()

    assert simulation.claimed[1:] == [*others, later]


async def test_owner_pays_for_the_service_of_all_attempts(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    name = await simulation.add("a", 30)
    await simulation.claim()

    await simulation.hand_over(after=20)
    await simulation.claim()
    await simulation.end_next()

    owner = keys.fair_owner(keys.QUEUE, "a")
    finish = float(await redis.execute_command("HGET", owner, "finish"))
    assert simulation.claimed == [name, name]
    assert 50 <= finish < 60


async def test_requeued_job_is_claimed_first(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    first, second, third = [await simulation.add("a", 1) for _ in range(3)]

    assert await JobQueue(redis).requeue(third) == "due"

    await simulation.run_to_the_end()
    assert simulation.claimed == [third, first, second]


async def test_oldest_wait_is_that_of_any_waiting_job(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    for _ in range(2):
        await simulation.add("a", 1)
    oldest = await simulation.add("a", 1)
    await simulation.add("b", 1)
    await redis.execute_command("ZINCRBY", keys.due_times(keys.QUEUE), -60_000, oldest)

    depth = (await read_depths(redis, [keys.MAIN_QUEUE]))[keys.MAIN_QUEUE]

    assert depth.waiting == 4
    assert 60_000 <= depth.oldest_wait_ms < 90_000


@pytest.mark.parametrize("removed", [True, False])
async def test_claim_repairs_what_an_older_version_leaves(redis: Redis, removed: bool) -> None:  # noqa: FBT001
    simulation = QueueSimulation(redis, slots=1)
    first, second = [await simulation.add("a", 1) for _ in range(2)]
    if removed:
        await redis.execute_command("ZREM", keys.QUEUE, first)
    else:
        await simulation.claim_as_older_version()
        simulation.slots += 1
    for number in range(20):
        await simulation.add(f"b-{number}", 1)
        await simulation.claim()
        await simulation.end_next()

    assert second in simulation.claimed[:5]
