"""Measures how many runs start in the range that is announced to their clients first.

Run it with `python -m bench.queue.forecast`. Each load takes about two minutes, on its own
deployment with 8 slots and 30 owners. A run takes 1 to 12 seconds, 3 on average. The first part of
each load, in which the forecast adapts, does not count.
"""

import argparse
import asyncio
import random
import statistics
from collections import Counter
from collections.abc import Awaitable, Callable

import uvloop

from bench.queue.deployment import SmallDeployment, open_deployment
from bench.upstream import model_name
from shared.queue.announced_waits import AnnouncedWait

OWNERS = [f"owner-{number}" for number in range(30)]
_SLOTS = 4
_WORKERS = 2
#: Starts per second that the slots sustain.
_CAPACITY = _WORKERS * _SLOTS / 3
_WORD_SECONDS = 0.25


class Load:
    """Starts runs of random owners and durations, and collects the announced waits."""

    def __init__(self, deployment: SmallDeployment, seconds: float) -> None:
        self.deployment = deployment
        self.seconds = seconds
        self._chance = random.Random(1)
        self._followed: list[asyncio.Task[AnnouncedWait | None]] = []
        self._not_counted = 0

    def start(self, count: int = 1) -> None:
        for _ in range(count):
            seconds = min(12, 1 + self._chance.expovariate(1 / 2))
            model = model_name(round(seconds / _WORD_SECONDS), _WORD_SECONDS)
            owner = self._chance.choice(OWNERS)
            self._followed.append(asyncio.create_task(self.deployment.follow(owner, model)))

    async def arrive(self, rate: float, seconds: float) -> None:
        """Start runs at random times, on average `rate` per second."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(self._chance.expovariate(rate))
            self.start()

    def end_warm_up(self) -> None:
        """Count only the runs that start from now on."""
        self._not_counted = len(self._followed)

    async def announced_waits(self) -> list[AnnouncedWait]:
        found = await asyncio.gather(*self._followed)
        return [wait for wait in found[self._not_counted :] if wait is not None]


async def steady(load: Load) -> None:
    load.start(30)
    await load.arrive(_CAPACITY, load.seconds)
    load.end_warm_up()
    await load.arrive(_CAPACITY, load.seconds)


async def bursty(load: Load) -> None:
    for number in range(6):
        if number == 3:
            load.end_warm_up()
        load.start(40)
        await asyncio.sleep(20)


async def scaling_up(load: Load) -> None:
    load.start(30)
    await load.arrive(_CAPACITY, load.seconds)
    load.end_warm_up()
    await load.arrive(1.5 * _CAPACITY, load.seconds / 3)
    await load.deployment.add_workers(_WORKERS, slots=_SLOTS)
    await load.arrive(1.5 * _CAPACITY, load.seconds * 2 / 3)


LOADS: dict[str, Callable[[Load], Awaitable[None]]] = {
    "steady": steady,
    "bursty": bursty,
    "scaling up": scaling_up,
}


async def main(arguments: argparse.Namespace) -> None:
    print("load        announced  inside  early  late  median wait  width / wait", flush=True)
    for name in [arguments.load] if arguments.load else LOADS:
        async with open_deployment(OWNERS, workers=_WORKERS, slots=_SLOTS) as deployment:
            load = Load(deployment, arguments.seconds)
            await LOADS[name](load)
            waits = await load.announced_waits()
        _print_result(name, waits)


def _print_result(name: str, waits: list[AnnouncedWait]) -> None:
    counts = Counter(wait.outcome for wait in waits)
    shares = {outcome: count / len(waits) for outcome, count in counts.items()}
    real = statistics.median(wait.real for wait in waits)
    width = statistics.median((w.longest - w.shortest) / max(w.real, 1) for w in waits)
    print(
        f"{name:11} {len(waits):9} {shares.get('inside', 0):7.0%} {shares.get('early', 0):6.0%}"
        f" {shares.get('late', 0):5.0%} {real:10.1f} s {width:13.2f}",
        flush=True,
    )


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench.queue.forecast", description=__doc__)
    parser.add_argument("--load", choices=LOADS)
    parser.add_argument("--seconds", type=float, default=50, metavar="S", help="of each part")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(_parse_arguments()))
