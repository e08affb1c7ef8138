"""Background jobs start after interactive ones, and have a minimum share."""

from statistics import mean

import pytest

from shared.queue.job_queue import JobQueue
from shared.queue.queue_depth import read_depths
from shared.queue.queue_positions import QueuePosition, QueuePositions
from shared.redis import keys
from shared.redis.client import Redis
from tests.support.system.queue_simulation import QueueSimulation


async def _waits(redis: Redis, backlog: int) -> list[float]:
    """Return the waits of interactive jobs at a load of 75 % beside a background backlog."""
    await redis.execute_command("FLUSHALL")
    simulation = QueueSimulation(redis, slots=8)
    for number in range(backlog):
        await simulation.add(f"batch-{number % 10}", 5, priority="background")
    await simulation.claim()
    names: list[str] = []
    for second in range(60):
        names += [await simulation.add(f"user-{second}-{n}", 2) for n in range(3)]
        await simulation.run_until(second + 1)
    await simulation.run_until(70)  # the last ones may wait for more than a second
    return [simulation.wait_of(name) for name in names]


async def test_wait_does_not_depend_on_the_background_backlog(redis: Redis) -> None:
    many = await _waits(redis, 10_000)

    few = await _waits(redis, 250)

    # The real time that the scripts take decides between jobs that start at the same time.
    assert mean(many) == pytest.approx(mean(few), abs=0.2)
    assert max(many) <= 7  # one service time of each class
    assert sorted(many)[len(many) // 2] <= 1


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5, 0.9])
async def test_background_gets_its_share_while_both_wait(redis: Redis, share: float) -> None:
    simulation = QueueSimulation(redis, slots=4, background_share=share)
    for number in range(600):
        await simulation.add(f"user-{number % 3}", 2)
        await simulation.add(f"batch-{number % 2}", 3, priority="background")

    await simulation.run_until(250)

    background = sum(work for owner, work in simulation.work.items() if "batch" in owner)
    assert background / sum(simulation.work.values()) == pytest.approx(share, abs=0.03)


async def test_share_is_kept_while_durations_change(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=4, background_share=0.2)
    for number in range(1000):
        await simulation.add("user", 1)
        await simulation.add("batch", 1 if number % 10 else 20, priority="background")

    await simulation.run_until(200)

    share = simulation.work["batch"] / sum(simulation.work.values())
    assert share == pytest.approx(0.2, abs=0.05)


async def test_long_background_jobs_get_their_share(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=4, background_share=0.5)
    hours = 3600
    for _ in range(100):
        await simulation.add("batch", 3 * hours, priority="background")
        for _ in range(20):
            await simulation.add("user", 0.25 * hours)

    await simulation.run_until(150 * hours)

    share = simulation.work["batch"] / sum(simulation.work.values())
    assert share == pytest.approx(0.5, abs=0.05)


async def test_background_without_a_share_waits_for_all_others(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=2, background_share=0)
    background = await simulation.add("batch", 1, priority="background")
    interactive = [await simulation.add(f"user-{number % 3}", 1) for number in range(50)]

    await simulation.run_to_the_end()

    assert sorted(simulation.claimed[:50]) == sorted(interactive)
    assert simulation.claimed[50] == background


async def test_owners_of_background_jobs_get_equal_work(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=4)
    for number in range(300):
        await simulation.add("user", 2)
        await simulation.add("a", 1, priority="background")
        if number % 5 == 0:
            await simulation.add("b", 5, priority="background")

    await simulation.run_until(140)
    for _ in range(5):
        await simulation.end_next()
    await simulation.run_until(200)

    assert simulation.work["a"] == pytest.approx(simulation.work["b"], abs=30)


async def test_interactive_jobs_do_not_pay_for_background_ones(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    for _ in range(20):
        await simulation.add("both", 10, priority="background")
    await simulation.run_until(100)

    interactive = await simulation.add("both", 1)
    other = await simulation.add("other", 1)
    await simulation.run_until(120)

    assert simulation.claimed_at[interactive] <= simulation.claimed_at[other] <= 111


async def test_positions_follow_the_order_of_both_classes(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1, background_share=0.3)
    await simulation.add("user", 1)
    await simulation.add("batch", 1, priority="background")
    for _ in range(8):
        await simulation.run_until(simulation.now)
        await simulation.end_next()
    names = [await simulation.add(f"user-{n}", 1) for n in range(4)]
    names += [await simulation.add(f"batch-{n}", 1, priority="background") for n in range(2)]

    positions = await QueuePositions(redis).read(names)
    await simulation.run_to_the_end()

    order = [position.position for position in positions if position]
    assert [name for _, name in sorted(zip(order, names, strict=True))] == simulation.claimed[2:]


async def test_background_position_counts_the_interactive_jobs(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    interactive = [await simulation.add(f"user-{n}", 1) for n in range(5)]
    background = await simulation.add("batch", 1, priority="background")

    positions = await QueuePositions(redis).read([background, *interactive])

    assert positions == [QueuePosition(position, 6) for position in (6, 1, 2, 3, 4, 5)]


async def test_depth_counts_background_jobs_but_not_their_wait(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("user", 1)
    background = await simulation.add("batch", 1, priority="background")
    due_times = keys.background_due_times(keys.QUEUE)
    await redis.execute_command("ZINCRBY", due_times, -60_000, background)

    depth = (await read_depths(redis, [keys.MAIN_QUEUE]))[keys.MAIN_QUEUE]

    assert (depth.waiting, depth.background) == (2, 1)
    assert depth.oldest_wait_ms < 60_000


async def test_background_job_can_move_to_the_front(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    interactive = await simulation.add("user", 1)
    first, second = [await simulation.add("batch", 1, priority="background") for _ in range(2)]

    assert await JobQueue(redis).move_to_front(second) == "moved"

    await simulation.run_to_the_end()
    assert simulation.claimed == [second, interactive, first]


async def test_all_keys_of_background_jobs_expire(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    for owner in "ab":
        await simulation.add(owner, 1, priority="background")
        await simulation.add(owner, 1)

    await simulation.run_to_the_end()

    for key in await redis.execute_command("KEYS", "mamba:queue*"):
        assert await redis.execute_command("PTTL", key) > 0
    assert not await redis.execute_command("EXISTS", keys.background_due_times(keys.QUEUE))
