"""Paused intake: admission refuses new runs, and accepted ones go on."""

import pytest

from shared.errors import IntakePaused
from shared.queue.pauses import Pauses
from shared.runs.admission import Idempotency
from tests.support.admission_harness import CHAT, AdmissionHarness, admitted

OPERATOR = "api_key::ops"


@pytest.fixture
def pauses(harness: AdmissionHarness) -> Pauses:
    return Pauses(harness.redis)


@pytest.mark.parametrize("queue", ["main", None])
async def test_paused_intake_refuses_runs_and_stores_nothing(
    harness: AdmissionHarness, pauses: Pauses, queue: str | None
) -> None:
    await pauses.begin("intake", queue, operator=OPERATOR)
    before = await harness.dump()

    with pytest.raises(IntakePaused) as refused:
        await harness.admit("run-1")

    assert refused.value.retry_after == 30
    assert await harness.dump() == before


async def test_resumed_intake_accepts_runs(harness: AdmissionHarness, pauses: Pauses) -> None:
    await pauses.begin("intake", None, operator=OPERATOR)
    await pauses.begin("intake", "main", operator=OPERATOR)

    await pauses.end("intake", None, operator=OPERATOR)
    with pytest.raises(IntakePaused):
        await harness.admit("run-1")
    await pauses.end("intake", "main", operator=OPERATOR)

    assert await harness.admit("run-1") == admitted("run-1")


async def test_paused_intake_of_another_queue_refuses_nothing(
    harness: AdmissionHarness, pauses: Pauses
) -> None:
    await pauses.begin("intake", "research", operator=OPERATOR)
    await pauses.begin("processing", None, operator=OPERATOR)

    assert await harness.admit("run-1") == admitted("run-1")


async def test_repeated_request_of_an_accepted_run_is_not_refused(
    harness: AdmissionHarness, pauses: Pauses
) -> None:
    key = Idempotency("key", "fingerprint")
    await harness.admit("run-1", idempotency=key)
    await pauses.begin("intake", None, operator=OPERATOR)

    assert await harness.admit("run-2", idempotency=key) == admitted("run-1")


async def test_refused_message_does_not_stop_the_live_run(
    harness: AdmissionHarness, pauses: Pauses
) -> None:
    await harness.admit("run-1", chat=CHAT)
    await pauses.begin("intake", None, operator=OPERATOR)

    with pytest.raises(IntakePaused):
        await harness.admit("run-2", chat=CHAT, supersede=True)

    run = await harness.runs.get("run-1")
    assert run is not None
    assert not run.stop_requests
    assert await harness.queued_jobs() == [b"run-1"]
