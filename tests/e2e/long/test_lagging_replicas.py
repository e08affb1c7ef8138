"""Failovers to replicas that lag. `python -m tests.chaos --sentinel` runs longer ones."""

from pathlib import Path

from tests.chaos.experiment import ChaosPlan, run_experiment
from tests.chaos.faults import FaultKind


async def test_answers_survive_failovers_to_lagging_replicas(tmp_path: Path) -> None:
    plan = ChaosPlan(
        seed=3,
        faults=2,
        kinds=[FaultKind.REDIS_FAILOVER],
        every=3.0,
        chats=4,
        storage="sentinel",
        confirm_replicas=1,
        apis=1,
        workers=1,
    )

    result = await run_experiment(plan, tmp_path)

    assert result.violations == []
    assert any(view.is_ended for view in result.views)
