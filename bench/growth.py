"""Measures whether CPU time grows with live streams, or memory with the number of runs."""

import asyncio
import statistics

from bench.load import MeasuredAnswer, ask
from bench.measurements import many_short_answers
from bench.servers import Mamba, open_mamba, open_upstream
from bench.table import Row, at_most, number
from bench.upstream import model_name
from bench.usage import cpu_seconds, resident_megabytes

_LIVE_STREAMS = (10, 30, 100, 300, 1000)
#: All streams together send this many tokens per second, whatever their number.
_TOKENS_PER_SECOND = 500
_STARTS_PER_SECOND = 100
#: The streams last long enough even if all starts take this many times as long as planned.
_START_MARGIN = 3
_STEADY_SECONDS = 10
#: The phase shift from one stream to the next, as a fraction of the time between two tokens of a
#: stream. The golden ratio spreads any number of streams almost evenly over that time. Tokens sent
#: together cost less, because one wake-up handles several of them.
_PHASE = 0.618034
_ROUNDS = 3
_RUNS = 10_000
_STEP = 1_000
#: The first runs fill caches.
_WARM_UP_RUNS = 2_000


async def live_streams() -> list[Row]:
    """Measure the CPU time of a token at different numbers of live streams."""
    async with open_upstream() as upstream, open_mamba(upstream) as mamba:
        rounds = [
            [await _token_cost(mamba, streams) for streams in _LIVE_STREAMS] for _ in range(_ROUNDS)
        ]
    return rows_of(rounds)


def rows_of(rounds: list[list[float]]) -> list[Row]:
    """Return the median cost for each number of streams, and its ratio to the first one."""
    costs = [statistics.median(values) for values in zip(*rounds, strict=True)]
    ratios = [[cost / costs[0] for cost in costs] for costs in rounds]
    growth = [statistics.median(values) for values in zip(*ratios, strict=True)]
    goal = at_most(1.25)
    titles = [f"CPU of 1,000 tokens, {streams:,} live streams (s)" for streams in _LIVE_STREAMS]
    first, *others = (
        Row(title, number(cost), "", f"{number(ratio)} × the first", str(goal), goal.is_met(ratio))
        for title, cost, ratio in zip(titles, costs, growth, strict=True)
    )
    return [Row(first.title, first.mamba), *others]


async def memory() -> list[Row]:
    """Measure the memory of the API and the worker over many short answers."""
    async with open_upstream() as upstream, open_mamba(upstream) as mamba:
        pids = mamba.api_and_worker_pids
        await many_short_answers(mamba.target.url, _WARM_UP_RUNS)
        first = resident_megabytes(pids)
        for _ in range(_WARM_UP_RUNS, _RUNS, _STEP):
            await many_short_answers(mamba.target.url, _STEP)
        growth, goal = resident_megabytes(pids) - first, at_most(20, "MB")
    row = Row(
        f"memory of API and worker after {_WARM_UP_RUNS:,} runs (MB)",
        number(first),
        "",
        f"{growth:+.1f} MB after {_RUNS:,}",
        str(goal),
        goal.is_met(growth),
    )
    return [row]


async def _token_cost(mamba: Mamba, streams: int) -> float:
    """Return the CPU time in seconds of 1,000 tokens, with this number of live streams."""
    delay = streams / _TOKENS_PER_SECOND
    starting = streams / _STARTS_PER_SECOND
    model = model_name(int((_START_MARGIN * starting + _STEADY_SECONDS + 10) / delay), delay)
    begun = asyncio.Semaphore(0)

    async def start(number: int) -> MeasuredAnswer:
        planned = number / _STARTS_PER_SECOND
        await asyncio.sleep(planned + (number * _PHASE - planned / delay) % 1 * delay)
        return await ask(mamba.target.url, model, begun.release)

    tasks = [asyncio.create_task(start(number)) for number in range(streams)]
    for _ in tasks:
        await begun.acquire()
    before = cpu_seconds(mamba.target.pids)
    await asyncio.sleep(_STEADY_SECONDS)
    used = cpu_seconds(mamba.target.pids) - before
    if any(task.done() for task in tasks):
        raise RuntimeError("The streams started too slowly on this machine.")
    await asyncio.gather(*tasks)
    return used / (_STEADY_SECONDS * _TOKENS_PER_SECOND) * 1000
