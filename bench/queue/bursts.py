"""Measures how evenly a burst of runs spreads over workers.

Run it with `python -m bench.queue.bursts`: 60 runs at once, on 6 idle worker processes.
"""

import asyncio
from collections import Counter

import uvloop

from bench.queue.deployment import Deployment, open_deployment
from bench.upstream import model_name

_WORKERS, _RUNS, _ROUNDS = 6, 60, 5
_OWNER = "owner"
#: Long enough that no run ends during the burst.
_MODEL = model_name(4, 2.0)


async def main() -> None:
    async with open_deployment([_OWNER], workers=_WORKERS, slots=256) as deployment:
        for _ in range(_ROUNDS):
            print(await burst(deployment), flush=True)


async def burst(deployment: Deployment) -> str:
    """Start the runs, and return how many of them each worker executes, and their longest wait."""
    asked = (deployment.ask(_OWNER, _MODEL) for _ in range(_RUNS))
    runs = await deployment.ended_runs(await asyncio.gather(*asked))
    counts = Counter([await deployment.worker_of(run.id) for run in runs])
    waits = [(run.started_at or 0) - run.admitted_at for run in runs]
    return f"{'/'.join(map(str, counts.values()))}   longest wait {max(waits)} ms"


if __name__ == "__main__":
    uvloop.run(main())
