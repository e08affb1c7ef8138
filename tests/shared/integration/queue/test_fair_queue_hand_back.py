"""Jobs that workers without their agent hand back return to the fair order."""

from functools import partial

import pytest

from shared.queue.job_queue import JobQueue
from shared.queue.pauses import Pauses
from shared.queue.queue_depth import read_depths
from shared.queue.queue_positions import QueuePosition, QueuePositions
from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from tests.support.system.queue_simulation import QueueSimulation
from tests.support.wait import until


async def _is_due(redis: Redis, name: str) -> bool:
    score = await redis.execute_command("ZSCORE", keys.QUEUE, name)
    return float(score) <= await redis_time_ms(redis)


async def test_jobs_that_are_handed_back_do_not_delay_others(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=4)
    unknown = [await simulation.add("a", 1) for _ in range(4)]
    await simulation.claim()
    for name in unknown:
        await simulation.hand_back(name, delay_ms=60_000)
    others = [await simulation.add(f"b-{number}", 1) for number in range(4)]

    assert await simulation.claim() == 4

    assert simulation.claimed[4:] == others


async def test_due_job_that_was_handed_back_waits_in_fair_order(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    unknown = [await simulation.add("a", 10) for _ in range(3)]
    others = [await simulation.add(f"b-{number}", 10) for number in range(3)]
    claims: list[str] = []
    for _ in range(12):
        await simulation.claim()
        claims.append(simulation.claimed[-1])
        if claims[-1] in unknown:
            await simulation.hand_back(claims[-1])
            await until(partial(_is_due, redis, claims[-1]))
        else:
            await simulation.end_next()

    # One claim for each of them, until the owner has used as much service as the others.
    assert claims[0] == unknown[0]
    assert set(others) <= set(claims[:5])


async def test_job_that_was_handed_back_is_its_owners_first(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    first, second = [await simulation.add("a", 1) for _ in range(2)]
    await simulation.claim()
    await simulation.hand_back(first)
    await until(partial(_is_due, redis, first))

    await simulation.run_to_the_end()

    assert simulation.claimed == [first, first, second]


async def test_owner_does_not_pay_for_a_job_that_was_handed_back(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    name = await simulation.add("a", 30)
    await simulation.claim()

    await simulation.hand_back(name)

    finish = await redis.execute_command("HGET", keys.fair_owner(keys.QUEUE, "a"), "finish")
    assert float(finish) < 0.5


async def test_handed_over_job_goes_before_one_that_was_handed_back(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=2)
    handed_back, handed_over = [await simulation.add(owner, 1) for owner in "ab"]
    waiting = await simulation.add("c", 1)
    await simulation.claim()
    await simulation.hand_back(handed_back)
    await until(partial(_is_due, redis, handed_back))
    await simulation.hand_over(after=1)

    simulation.slots = 1
    await simulation.run_to_the_end()

    assert simulation.claimed[2] == handed_over
    assert sorted(simulation.claimed[3:]) == sorted([handed_back, waiting])


async def test_follower_does_not_end_the_delay_of_a_hand_back(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    name = await simulation.add("a", 1)
    await simulation.claim()
    await simulation.hand_back(name, delay_ms=60_000)

    assert await JobQueue(redis).find_jobs([(name, keys.MAIN_QUEUE, True)]) == {name}

    assert await simulation.claim() == 0


async def test_requeued_job_that_was_handed_back_starts_at_once(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    name = await simulation.add("a", 1)
    await simulation.claim()
    await simulation.hand_back(name, delay_ms=60_000)
    await Pauses(redis).begin("processing", keys.MAIN_QUEUE, operator="ann")

    assert await JobQueue(redis).requeue(name) == "due"

    assert await simulation.claim() == 1


async def test_many_due_jobs_return_to_the_order_in_one_claim(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=150)
    names = [await simulation.add("a", 1) for _ in range(150)]
    while await simulation.claim():
        pass
    for name in names:
        await simulation.hand_back(name)
    for name in names:
        await until(partial(_is_due, redis, name))

    claimed = 0
    while claimed < 150:
        claimed += await simulation.claim()

    assert sorted(simulation.claimed[150:]) == sorted(names)


async def test_job_that_moves_to_the_front_is_claimed_first(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    first, second = [await simulation.add("a", 1) for _ in range(2)]
    other, last = [await simulation.add("b", 5) for _ in range(2)]

    assert await JobQueue(redis).move_to_front(last) == "moved"
    positions = await QueuePositions(redis).read([last, first])
    await simulation.run_to_the_end()

    assert positions == [QueuePosition(1, 4), QueuePosition(2, 4)]
    assert simulation.claimed == [last, first, second, other]


async def test_move_to_the_front_keeps_the_wait_and_the_price(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("a", 10)
    await simulation.add("b", 10)
    moved = await simulation.add("b", 10)
    await redis.execute_command("ZINCRBY", keys.due_times(keys.QUEUE), -60_000, moved)

    await JobQueue(redis).move_to_front(moved)
    depth = (await read_depths(redis, [keys.MAIN_QUEUE]))[keys.MAIN_QUEUE]
    await simulation.claim()
    await simulation.end_next()

    finish = await redis.execute_command("HGET", keys.fair_owner(keys.QUEUE, "b"), "finish")
    assert depth.oldest_wait_ms >= 60_000
    assert float(finish) == pytest.approx(10, abs=1)


async def test_jobs_that_do_not_wait_cannot_move_to_the_front(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("a", 1, chat="chat")
    behind = await simulation.add("a", 1, chat="chat")
    await simulation.claim()
    [held] = simulation.claimed
    queue = JobQueue(redis)

    assert await queue.move_to_front(held) == "held"
    assert await queue.move_to_front(behind) == "deferred"
    assert await queue.move_to_front("unknown") == "gone"


async def test_due_job_that_has_not_started_moves_to_the_front(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    unknown = await simulation.add("a", 100)
    await simulation.claim()
    await simulation.hand_back(unknown)
    await until(partial(_is_due, redis, unknown))
    await simulation.add("b", 1)
    finish = ("HSET", keys.fair_owner(keys.QUEUE, "a"), "finish", 1000)
    await redis.execute_command(*finish)

    assert await JobQueue(redis).move_to_front(unknown) == "moved"
    await simulation.claim()

    assert simulation.claimed == [unknown, unknown]
