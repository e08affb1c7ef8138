"""Compares `mamba worker --processes 2` with two deployments of one worker process each.

Two processes, the clients, and the upstream need more cores than the machine may have. Therefore,
this measures the CPU time of the busiest worker process instead of the duration. On enough cores,
the result is the speedup. Processes that share cores also slow each other down, for example in
their caches. This also slows the separate deployments, because they run at the same time and with
the same load. The result therefore reflects only the overhead of several processes in one worker,
and an uneven distribution of the work. Both are also reported separately.
"""

import asyncio
import statistics
from typing import NamedTuple

from bench.measurements import STREAMS, Effort, many_short_answers
from bench.servers import Mamba, open_mamba, open_upstream, worker_pids
from bench.table import Row, at_least, number, single
from bench.usage import cpu_seconds

_PROCESSES = 2


class Round(NamedTuple):
    """CPU seconds per answer: of one process alone, and of each process in two groups.

    In a group, the CPU time of a process is divided by the number of answers of the whole group.
    """

    alone: float
    separate: list[float]
    together: list[float]


async def processes(effort: Effort) -> list[Row]:
    """Measure one process, two separate workers, and one worker with two processes, in turn."""
    answers = effort.short_answers
    async with (
        open_upstream() as upstream,
        open_mamba(upstream) as first,
        open_mamba(upstream) as second,
        open_mamba(upstream, processes=_PROCESSES) as together,
    ):
        rounds: list[Round] = []
        for _ in range(effort.rounds):
            [alone] = await _cpu_of_answer(first, answers)
            separate = await asyncio.gather(
                _cpu_of_answer(first, answers), _cpu_of_answer(second, answers)
            )
            shared = await _cpu_of_answer(together, answers, _PROCESSES)
            rounds.append(Round(alone, [cpu / len(separate) for [cpu] in separate], shared))
    return rows_of(rounds)


def rows_of(rounds: list[Round]) -> list[Row]:
    factor = statistics.median(sum(cpu.separate) / max(cpu.together) for cpu in rounds)
    overhead = statistics.median(sum(cpu.together) / sum(cpu.separate) for cpu in rounds)
    contention = statistics.median(sum(cpu.separate) / cpu.alone for cpu in rounds)
    part = statistics.median(max(cpu.together) / sum(cpu.together) for cpu in rounds)
    per_second = statistics.median(1 / max(cpu.together) for cpu in rounds)
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
        single(f"{title}: CPU of an answer, compared with separate workers", overhead, unit="×"),
        single(f"{title}: part of the work of the busiest worker process", part),
        single(
            f"CPU of an answer, {_PROCESSES} separate workers at once, compared with one",
            contention,
            unit="×",
        ),
    ]


async def _cpu_of_answer(mamba: Mamba, answers: int, processes: int = 1) -> list[float]:
    """Return the CPU time per answer of each worker process, with the same load on each."""
    pids, answers = worker_pids(mamba.worker), answers * processes
    before = [cpu_seconds((pid,)) for pid in pids]
    await many_short_answers(mamba.target.url, answers, streams=STREAMS * processes)
    return [(cpu_seconds((pid,)) - used) / answers for pid, used in zip(pids, before, strict=True)]
