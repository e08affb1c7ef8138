import random
import statistics
from collections.abc import Callable

import pytest

from shared.queue.queue_positions import QueuePosition, QueuePositions
from shared.queue.wait_forecast import read_forecast
from shared.redis import keys
from shared.redis.client import Redis
from tests.support.system.queue_simulation import QueueSimulation

_RUNS = 300
_DURATIONS: dict[str, Callable[[random.Random], float]] = {
    "equal": lambda _: 10,
    "uniform": lambda chance: chance.uniform(4, 16),
    "exponential": lambda chance: 0.1 + chance.expovariate(1 / 10),
}


async def _warm_up(simulation: QueueSimulation, mean: float) -> None:
    """Let the queue learn the duration of its jobs, and fill all slots."""
    for number in range(simulation.slots * 2):
        await simulation.add(f"first-{number}", mean)
    await simulation.run_until(mean)


@pytest.mark.parametrize("durations", _DURATIONS)
@pytest.mark.parametrize("load", ["steady", "bursty", "scaling up"])
async def test_most_runs_start_in_the_announced_range(
    redis: Redis, load: str, durations: str
) -> None:
    chance = random.Random(7)
    simulation = QueueSimulation(redis, slots=8)
    await _warm_up(simulation, 10)

    for number in range(_RUNS):
        if load == "scaling up" and number == _RUNS // 3:
            simulation.slots = 16
        name = await simulation.add(f"owner-{number}", _DURATIONS[durations](chance))
        await simulation.claim()
        await simulation.announce(name)
        if load != "bursty" or number % 40 == 39:
            pause = 60 if load == "bursty" else chance.expovariate(1.1)
            await simulation.run_until(simulation.now + pause)
    await simulation.run_to_the_end()

    waits = simulation.announced_waits(simulation.announced)
    inside = sum(wait.outcome == "inside" for wait in waits) / len(waits)
    width = statistics.median((w.longest - w.shortest) / max(w.real, 1) for w in waits)
    assert len(waits) >= 100
    assert inside >= 0.82
    assert width <= 2.5


# The part of background jobs is small under a high load, and the queue has to measure it first.
@pytest.mark.parametrize(("load", "kept"), [(0.3, 0.8), (0.6, 0.75), (0.85, 0.5)])
async def test_both_classes_start_in_the_announced_range(
    redis: Redis, load: float, kept: float
) -> None:
    chance = random.Random(7)
    simulation = QueueSimulation(redis, slots=8)
    await _warm_up(simulation, 10)

    for second in range(400):
        names: list[str] = []
        if chance.random() < load * 8 / 10:
            names.append(await simulation.add(f"user-{second}", chance.uniform(4, 16)))
        if second % 100 == 30:
            for number in range(20):
                seconds = chance.uniform(10, 30)
                owner = f"batch-{number}"
                names.append(await simulation.add(owner, seconds, priority="background"))
        await simulation.claim()
        for name in names:
            await simulation.announce(name)
        await simulation.run_until(second + 11)
    await simulation.run_to_the_end()

    for owners, least in (("user", 0.85), ("batch", kept)):
        names = [name for name in simulation.announced if name.startswith(owners)]
        waits = simulation.announced_waits(names)
        assert sum(wait.outcome == "inside" for wait in waits) / len(waits) >= least


async def test_no_wait_is_announced_while_no_job_runs(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=1)
    name = await simulation.add("a", 1)

    assert await QueuePositions(redis).read([name]) == [QueuePosition(1, 1)]


async def test_wait_is_announced_from_mean_duration_and_slots(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=2)
    await _warm_up(simulation, 10)
    names = [await simulation.add(f"owner-{number}", 10) for number in range(5)]

    positions = await QueuePositions(redis).read(names)

    etas = [
        second
        for position in positions
        for second in ((position and position.likely_wait) or ())[:2]
    ]
    assert etas == pytest.approx([0, 15, 0, 22, 1, 29, 3, 35, 5, 42], abs=2)


async def test_expected_wait_follows_waiting_jobs_and_slots(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=2)
    await _warm_up(simulation, 10)
    for number in range(5):
        await simulation.add(f"owner-{number}", 10)

    found = await read_forecast(redis, keys.MAIN_QUEUE)

    assert found is not None
    assert found.running == 2
    assert found.interval == pytest.approx(5, abs=0.5)
