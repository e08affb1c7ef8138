"""The loads of `python -m bench.queue.forecast`, simulated on the real scripts of the queue."""

import heapq
import random
import statistics
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from shared.queue.announced_waits import AnnouncedWait
from shared.redis.client import Redis
from tests.support.system.queue_simulation import QueueSimulation

_SLOTS = 8
_OWNERS = 30
#: Starts per second that the slots sustain. A run takes 3 seconds on average.
_CAPACITY = _SLOTS / 3
#: The forecast adapts before this time, so runs that are added earlier do not count.
_WARM_UP_SECONDS = 50
_SLOTS_DOUBLE_AT = 67


def _arrivals(chance: random.Random, rate: float, start: float, end: float) -> Iterator[float]:
    while (start := start + chance.expovariate(rate)) < end:
        yield start


def _steady(chance: random.Random) -> list[float]:
    return [*[0.0] * 30, *_arrivals(chance, _CAPACITY, 0, 100)]


def _bursty(_: random.Random) -> list[float]:
    return [20.0 * burst for burst in range(6) for _ in range(40)]


def _scaling_up(chance: random.Random) -> list[float]:
    first = _arrivals(chance, _CAPACITY, 0, _WARM_UP_SECONDS)
    return [*[0.0] * 30, *first, *_arrivals(chance, 1.5 * _CAPACITY, _WARM_UP_SECONDS, 100)]


#: When runs are added, and the limit for the median width of the range, divided by the wait.
_LOADS: dict[str, tuple[Callable[[random.Random], list[float]], float]] = {
    "steady": (_steady, 2.3),
    "bursty": (_bursty, 1.3),
    "scaling up": (_scaling_up, 2.7),
}


async def _simulate(redis: Redis, load: str, seed: int) -> list[AnnouncedWait]:
    chance, order = random.Random(seed), count()
    simulation = QueueSimulation(redis, slots=_SLOTS)
    # A time, a number that keeps the order, and the run whose wait is announced; None adds a run.
    added = _LOADS[load][0](chance)
    events: list[tuple[float, int, str | None]] = [(at, next(order), None) for at in added]
    heapq.heapify(events)
    while events:
        at, _, name = heapq.heappop(events)
        await simulation.run_until(at)
        if load == "scaling up" and at > _SLOTS_DOUBLE_AT:
            simulation.slots = 2 * _SLOTS
        if name:
            await simulation.announce(name)
        else:
            owner = f"owner-{chance.randrange(_OWNERS)}"
            name = await simulation.add(owner, min(12, 1 + chance.expovariate(1 / 2)))
            await simulation.claim()
            heapq.heappush(events, (int(at + 2), next(order), name))  # 1 to 2 seconds later
    await simulation.run_to_the_end()
    times = simulation.added_at.items()
    return simulation.announced_waits(name for name, at in times if at >= _WARM_UP_SECONDS)


@pytest.mark.parametrize("load", _LOADS)
async def test_runs_of_30_owners_start_in_the_range(redis: Redis, load: str) -> None:
    waits: list[AnnouncedWait] = []
    for seed in range(3):
        waits += await _simulate(redis, load, seed)
        await redis.execute_command("FLUSHDB")

    inside = sum(wait.outcome == "inside" for wait in waits) / len(waits)
    width = statistics.median((w.longest - w.shortest) / max(w.real, 1) for w in waits)
    assert len(waits) >= 200
    assert 0.85 <= inside <= 0.95
    assert width <= _LOADS[load][1]
