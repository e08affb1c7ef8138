"""A short experiment with a fixed seed. `make chaos` runs longer ones."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.chaos.checks.recovery import recoveries
from tests.chaos.experiment import ChaosPlan, ChaosResult, run_experiment
from tests.chaos.faults import FaultKind

pytestmark = pytest.mark.asyncio(loop_scope="session")

_KINDS = (
    FaultKind.WORKER_KILL,
    FaultKind.WORKER_KILL,
    FaultKind.WORKER_TERM,
    FaultKind.API_KILL,
    FaultKind.REDIS_KILL,
    FaultKind.REDIS_FULL,
    FaultKind.WORKER_LINK_RESET,
    FaultKind.WORKER_LINK_ONE_WAY,
    FaultKind.API_LINK_RESET,
)
_PLAN = ChaosPlan(seed=19, faults=10, kinds=_KINDS, every=1.2, chats=6)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def result(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[ChaosResult]:
    yield await run_experiment(_PLAN, tmp_path_factory.mktemp("chaos"))


async def test_answers_survive_a_schedule_of_faults(result: ChaosResult) -> None:
    assert result.violations == []
    assert len(result.faults) == _PLAN.faults
    assert all(view.is_ended for view in result.views)
    assert any(view.events[-1].attempt > 1 for view in result.views), "no run was taken over"
    assert any(view.replayed for view in result.views), "no continued answer was reloaded"


async def test_faults_interrupt_answers_for_a_bounded_time(result: ChaosResult) -> None:
    found = recoveries(result.faults, result.views, result.workers)

    assert found
    assert max(seconds for kind in found.values() for seconds in kind) < 30
