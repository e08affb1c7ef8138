"""Measures how evenly a burst of runs spreads over workers.

Run it with `python -m bench.queue.bursts`: 60 runs at once, on 6 idle worker processes.
"""

import asyncio
from collections import Counter
from typing import NamedTuple

import uvloop

from bench.queue.deployment import SmallDeployment, open_deployment
from bench.upstream import model_name

WORKERS, RUNS = 6, 60
_ROUNDS = 5
_OWNER = "owner"
#: Long enough that no run ends during the burst.
_MODEL = model_name(4, 2.0)


class Spread(NamedTuple):
    """How many runs each worker executes, and the longest wait of a run."""

    runs_of_workers: list[int]
    longest_wait_ms: int


async def burst(deployment: SmallDeployment) -> Spread:
    """Start all runs at once, and wait until they have ended."""
    started = (deployment.start_run(_OWNER, _MODEL) for _ in range(RUNS))
    runs = await deployment.ended_runs(await asyncio.gather(*started))
    counts = Counter([await deployment.worker_of(run.id) for run in runs])
    waits = [(run.started_at or 0) - run.admitted_at for run in runs]
    return Spread([*counts.values()], max(waits))


async def main() -> None:
    async with open_deployment([_OWNER], workers=WORKERS, slots=256) as deployment:
        for _ in range(_ROUNDS):
            spread = await burst(deployment)
            counts = "/".join(map(str, spread.runs_of_workers))
            print(f"{counts:20} longest wait {spread.longest_wait_ms} ms", flush=True)


if __name__ == "__main__":
    uvloop.run(main())
