"""`mamba worker --processes 2` compared with one process.

Two processes, the clients, and the upstream may need more cores than the machine has. Therefore,
this measures the CPU time of the busiest worker process instead of the duration. On enough cores,
the result is the speedup. It includes overhead, and an uneven distribution of the work. Both are
also reported separately.
"""

import statistics
from typing import NamedTuple

from bench.measurements import Effort, many_short_answers
from bench.servers import Mamba, open_mamba, open_upstream, worker_pids
from bench.table import Row, at_least, number, single
from bench.usage import cpu_seconds

_PROCESSES = 2


class Pair(NamedTuple):
    """The CPU time of one worker process, and of each of several, for as many answers."""

    one: float
    several: list[float]


async def processes(effort: Effort) -> list[Row]:
    """Measure one worker process and several in turn, once per round."""
    answers = effort.short_answers
    async with (
        open_upstream() as upstream,
        open_mamba(upstream) as one,
        open_mamba(upstream, processes=_PROCESSES) as several,
    ):
        return rows_of(
            [
                Pair(
                    sum(await _cpu_of_workers(one, answers)),
                    await _cpu_of_workers(several, answers),
                )
                for _ in range(effort.rounds)
            ],
            answers,
        )


def rows_of(pairs: list[Pair], answers: int) -> list[Row]:
    factor = statistics.median(pair.one / max(pair.several) for pair in pairs)
    overhead = statistics.median(sum(pair.several) / pair.one for pair in pairs)
    share = statistics.median(max(pair.several) / sum(pair.several) for pair in pairs)
    per_second = statistics.median(answers / max(pair.several) for pair in pairs)
    goal, title = at_least(1.8), f"--processes {_PROCESSES}"
    return [
        Row(
            f"{title}: answers per second of CPU of the busiest worker process",
            number(per_second),
            "",
            f"{number(factor)} × one process",
            str(goal),
            goal.is_met(factor),
        ),
        single(f"{title}: CPU of an answer, compared with one process", overhead, unit="×"),
        single(f"{title}: share of the work of the busiest worker process", share),
    ]


async def _cpu_of_workers(mamba: Mamba, answers: int) -> list[float]:
    """Return the CPU time of each worker process for short answers."""
    pids = worker_pids(mamba.worker)
    before = [cpu_seconds((pid,)) for pid in pids]
    await many_short_answers(mamba.target.url, answers)
    return [cpu_seconds((pid,)) - used for pid, used in zip(pids, before, strict=True)]
