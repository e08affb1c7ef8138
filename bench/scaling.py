"""`mamba worker --processes 2` compared with one process.

Two processes, the clients, and the upstream may need more cores than the machine has. Therefore,
this measures the CPU time of the busiest worker process instead of the duration. On enough cores,
the result is the speedup. It includes overhead, and an uneven distribution of the work.
"""

from bench.measurements import many_short_answers
from bench.servers import Mamba, open_mamba, open_upstream, worker_pids
from bench.table import Row, at_least, number
from bench.usage import cpu_seconds

_PROCESSES = 2


async def processes(answers: int) -> list[Row]:
    async with open_upstream() as upstream:
        async with open_mamba(upstream) as mamba:
            [one] = await _cpu_of_workers(mamba, answers)
        async with open_mamba(upstream, processes=_PROCESSES) as mamba:
            used = await _cpu_of_workers(mamba, answers)
    factor, goal = one / max(used), at_least(1.8)
    row = Row(
        f"--processes {_PROCESSES}: answers per second of CPU of the busiest worker process",
        number(answers / max(used)),
        "",
        f"{number(factor)} × one process",
        str(goal),
        goal.is_met(factor),
    )
    return [row]


async def _cpu_of_workers(mamba: Mamba, answers: int) -> list[float]:
    """Return the CPU time of each worker process for short answers."""
    pids = worker_pids(mamba.worker)
    before = [cpu_seconds((pid,)) for pid in pids]
    await many_short_answers(mamba.target.url, answers)
    return [cpu_seconds((pid,)) - used for pid, used in zip(pids, before, strict=True)]
