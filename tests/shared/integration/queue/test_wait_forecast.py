import random

import pytest

from shared.queue.queue_positions import QueuePosition, QueuePositions
from shared.queue.wait_forecast import read_forecast
from shared.redis import keys
from shared.redis.client import Redis
from tests.support.system.queue_simulation import QueueSimulation


class Announcements:
    """The announced waits of jobs, when they were added."""

    def __init__(self, redis: Redis, simulation: QueueSimulation) -> None:
        self._positions = QueuePositions(redis)
        self._simulation = simulation
        self._announced: dict[str, tuple[int, int]] = {}

    async def add(self, owner: str, seconds: float) -> None:
        name = await self._simulation.add(owner, seconds)
        [position] = await self._positions.read([name])
        if position is not None and position.eta_seconds is not None:
            self._announced[name] = position.eta_seconds

    @property
    def count(self) -> int:
        return len(self._announced)

    @property
    def kept_share(self) -> float:
        """The share of the jobs that started in the announced interval."""
        waits = [(self._simulation.wait_of(name), eta) for name, eta in self._announced.items()]
        return sum(low <= wait <= high for wait, (low, high) in waits) / len(waits)


async def _warm_up(simulation: QueueSimulation, mean: float) -> None:
    """Let the queue learn the duration of its jobs, and fill all slots."""
    for number in range(simulation.slots * 2):
        await simulation.add(f"first-{number}", mean)
    await simulation.run_until(mean)


@pytest.mark.parametrize("load", ["steady", "bursty", "scaling up"])
async def test_most_runs_start_in_the_announced_interval(redis: Redis, load: str) -> None:
    chance = random.Random(7)
    simulation = QueueSimulation(redis, slots=8)
    announcements = Announcements(redis, simulation)
    await _warm_up(simulation, 10)

    for number in range(200):
        if load == "scaling up" and number == 60:
            simulation.slots = 16
        await announcements.add(f"owner-{number}", chance.uniform(4, 16))
        if load != "bursty" or number % 40 == 39:
            await simulation.run_until(simulation.now + (30 if load == "bursty" else 1))
    await simulation.run_to_the_end()

    assert announcements.count >= 150
    assert announcements.kept_share >= 0.85


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
        second for position in positions for second in (position and position.eta_seconds) or ()
    ]
    assert etas == pytest.approx([0, 15, 0, 25, 0, 33, 0, 40, 2, 48], abs=2)


async def test_expected_wait_follows_waiting_jobs_and_slots(redis: Redis) -> None:
    simulation = QueueSimulation(redis, slots=2)
    await _warm_up(simulation, 10)
    for number in range(5):
        await simulation.add(f"owner-{number}", 10)

    found = await read_forecast(redis, keys.MAIN_QUEUE)

    assert found is not None
    assert found.running == 2
    assert found.interval == pytest.approx(5, abs=0.5)
