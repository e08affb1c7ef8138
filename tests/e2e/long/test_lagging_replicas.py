"""Primaries are killed while their replicas lag.

`python -m tests.chaos --sentinel` and `--cluster` run longer schedules.
"""

from pathlib import Path

import pytest

from tests.chaos.experiment import ChaosPlan, run_experiment
from tests.chaos.faults import FaultKind
from tests.chaos.storage import StorageKind


@pytest.mark.parametrize(("storage", "faults"), [("sentinel", 2), ("cluster", 3)])
async def test_answers_survive_failovers_to_lagging_replicas(
    tmp_path: Path, storage: StorageKind, faults: int
) -> None:
    plan = ChaosPlan(
        seed=3,
        faults=faults,
        kinds=[FaultKind.REDIS_FAILOVER],
        every=3.0,
        chats=4,
        storage=storage,
        confirm_replicas=1,
        apis=1,
        workers=1,
    )

    result = await run_experiment(plan, tmp_path)

    assert result.violations == []
    assert any(view.is_ended for view in result.views)
