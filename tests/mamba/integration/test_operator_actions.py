"""Commands record what they did and who did it, so that the deployment logs it."""

from collections.abc import Awaitable, Callable

import pytest

from mamba.cli_errors import CommandFailed
from mamba.operate import run as run_page
from mamba.operate import stop_runs
from mamba.operate.deployment import Deployment
from mamba.operate.erase_chat import erase
from mamba.operate.operator_name import current_operator
from shared.queue.operator_actions import OperatorActions
from shared.redis.client import Redis
from shared.runs.run import Run
from shared.settings import LimitSettings
from shared.telemetry.logs import pseudonym
from tests.support.fakes.runs import job_of, new_run


async def accept(deployment: Deployment, run_id: str) -> Run:
    run = new_run(run_id, chat_id=f"chat-{run_id}")
    await deployment.stores.admission.admit(run, job_of(run), LimitSettings())
    return run


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (stop_runs.stop, "ops.run_stopped"),
        (run_page.requeue, "ops.run_requeued"),
        (run_page.move_to_front, "ops.run_moved_to_front"),
    ],
)
async def test_command_on_a_run_is_recorded(
    deployment: Deployment,
    redis: Redis,
    command: Callable[[Deployment, str], Awaitable[None]],
    event: str,
) -> None:
    await accept(deployment, "run-1")

    await command(deployment, "run-1")

    [action] = await OperatorActions(redis).take()
    assert (action.event, action.operator) == (event, current_operator())
    assert action.fields == {"run_id": "run-1"}


async def test_each_stopped_run_is_recorded(deployment: Deployment, redis: Redis) -> None:
    for run_id in ("run-1", "run-2"):
        await accept(deployment, run_id)

    with pytest.raises(CommandFailed):
        await stop_runs.stop_all(deployment, ["run-1", "run-2", "unknown"])

    actions = await OperatorActions(redis).take()
    assert sorted(action.fields["run_id"] or "" for action in actions) == ["run-1", "run-2"]


async def test_erased_chat_is_recorded_without_its_names(
    deployment: Deployment, redis: Redis
) -> None:
    run = await accept(deployment, "run-1")

    await erase(deployment, run.owner, run.chat_id, confirmed=True)

    [action] = await OperatorActions(redis).take()
    assert action.event == "ops.chat_erased"
    assert action.fields == {"owner": pseudonym(run.owner), "chat": pseudonym(run.chat_id)}
