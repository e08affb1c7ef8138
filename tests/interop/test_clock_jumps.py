"""Answers survive clocks that jump by minutes. `python -m tests.chaos` runs longer schedules."""

from pathlib import Path

from tests.chaos.experiment import ChaosPlan, run_experiment
from tests.chaos.faults import FaultKind

_KINDS = (
    FaultKind.REDIS_CLOCK,
    FaultKind.REDIS_CLOCK,
    FaultKind.WORKER_CLOCK,
    FaultKind.API_CLOCK,
    FaultKind.WORKER_KILL,
    FaultKind.REDIS_KILL,
)


async def test_answers_survive_clocks_that_jump(tmp_path: Path) -> None:
    plan = ChaosPlan(seed=4, faults=12, kinds=_KINDS, every=2.0, chats=6)

    result = await run_experiment(plan, tmp_path)

    assert result.violations == []
    assert all(view.is_ended for view in result.views)
    assert any("redis.clock_set_back" in output for output in result.logs.values())
