"""Measures the fair order on real processes while one owner has 10,000 waiting runs.

Run it with `python -m bench.queue.fairness`. 100 other owners start one run each, and then three
owners with shorter and longer runs become backlogged too. A run of the first owner takes 1 second.
"""

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import Sequence

import uvloop

from bench.queue.deployment import SmallDeployment, open_deployment
from bench.table import Row, at_least, at_most, single
from bench.upstream import model_name
from shared.runs.run import Run
from tests.support.system.jains_index import jains_index

_WORKERS, _SLOTS = 2, 16
_MANY = "many"
_OTHERS = [f"other-{number}" for number in range(100)]
#: Seconds of a run, by owner.
_SECONDS = {_MANY: 1.0, "short": 0.5, "long": 2.0, "longest": 4.0}
#: Requests that are sent at once.
_CONCURRENT = 16
_WORD_SECONDS = 0.25


def _model(seconds: float) -> str:
    return model_name(round(seconds / _WORD_SECONDS) + 1, _WORD_SECONDS)


async def _start_many(deployment: SmallDeployment, owner: str, count: int) -> list[str]:
    model, left = _model(_SECONDS[owner]), iter(range(count))

    async def start_next() -> list[str]:
        return [await deployment.start_run(owner, model) for _ in left]

    started = await asyncio.gather(*(start_next() for _ in range(_CONCURRENT)))
    return list(itertools.chain.from_iterable(started))


async def measure(runs: int, seconds: float) -> list[Row]:
    async with open_deployment([*_SECONDS, *_OTHERS], workers=_WORKERS, slots=_SLOTS) as deployment:
        many = await _start_many(deployment, _MANY, runs)
        waiting = await deployment.unfinished()
        single_runs: list[str] = []
        for owner in _OTHERS:
            single_runs.append(await deployment.start_run(owner, _model(1.0)))
            await asyncio.sleep(0.1)
        others = await deployment.ended_runs(single_runs)
        by_owner = {_MANY: many}
        for owner in ("short", "long", "longest"):
            count = round(seconds * _WORKERS * _SLOTS / _SECONDS[owner] / len(_SECONDS) * 1.5)
            by_owner[owner] = await _start_many(deployment, owner, count)
        begin = time.time_ns() // 1_000_000
        await asyncio.sleep(seconds)
        end = time.time_ns() // 1_000_000
        work = {
            owner: float(sum(_overlap(run, begin, end) for run in await deployment.runs(run_ids)))
            for owner, run_ids in by_owner.items()
        }
    return [*_wait_rows(waiting, others), *_work_rows(work)]


def _wait_rows(waiting: int, others: Sequence[Run]) -> list[Row]:
    waits = [(run.started_at or 0) - run.admitted_at for run in others]
    service = statistics.median((run.ended_at or 0) - (run.started_at or 0) for run in others)
    title = f"wait of single runs while {waiting:,} runs of one owner wait"
    return [
        single(f"{title}, p50", statistics.median(waits), unit="ms"),
        single(
            f"{title}, p99",
            statistics.quantiles(waits, n=100, method="inclusive")[-1],
            at_most(service + 500, "ms"),
        ),
    ]


def _work_rows(work: dict[str, float]) -> list[Row]:
    index = single("Jain's index of the work of 4 backlogged owners", jains_index(work))
    total = sum(work.values())
    shares = [
        single(f"share of the work, runs of {_SECONDS[owner]} s", done / total * 100, unit="%")
        for owner, done in work.items()
    ]
    return [index._replace(target=str(at_least(0.95, ""))), *shares]


def _overlap(run: Run, begin: int, end: int) -> int:
    """Return the milliseconds of service of a run between two times."""
    if run.started_at is None:
        return 0
    return max(0, min(run.ended_at or end, end) - max(run.started_at, begin))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench.queue.fairness", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, metavar="N")
    parser.add_argument("--seconds", type=float, default=40, metavar="S", help="of backlog")
    return parser.parse_args()


async def main(arguments: argparse.Namespace) -> None:
    for row in await measure(arguments.runs, arguments.seconds):
        print(f"{row.title:70} {row.mamba:>10}   {row.target}", flush=True)


if __name__ == "__main__":
    uvloop.run(main(_parse_arguments()))
