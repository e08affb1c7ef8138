"""The actions of operators are stored until one process has logged them."""

import asyncio

from structlog.testing import capture_logs

from shared.queue.operator_actions import OperatorAction, OperatorActions
from shared.redis import keys
from shared.redis.client import Redis
from tests.support.isolation.key_expiry import check_that_keys_expire
from tests.support.monitoring.monitors import open_sampler

STOPPED = OperatorAction(
    event="ops.run_stopped", operator="cli:web-1:ann", fields={"run_id": "run-1"}
)


async def test_each_action_is_taken_by_one_process(redis: Redis) -> None:
    actions = OperatorActions(redis)
    await actions.record(STOPPED)

    taken = await asyncio.gather(actions.take(), actions.take())

    assert sorted(taken, key=len) == [[], [STOPPED]]


async def test_actions_of_a_newer_version_are_ignored(redis: Redis) -> None:
    actions = OperatorActions(redis)
    await redis.execute_command("RPUSH", keys.OPERATOR_ACTIONS, '{"event": "ops.something"}')
    await actions.record(STOPPED)

    assert await actions.take() == [STOPPED]


async def test_actions_are_logged_with_their_operator(redis: Redis) -> None:
    await OperatorActions(redis).record(STOPPED)

    with capture_logs() as logs:
        await open_sampler(redis).report_actions()

    [logged] = logs
    assert (logged["event"], logged["operator"]) == ("ops.run_stopped", "cli:web-1:ann")


async def test_actions_expire(redis: Redis) -> None:
    await OperatorActions(redis).record(STOPPED)

    await check_that_keys_expire(redis)
