"""The list of runs that webhooks will report, with every kind of storage."""

from shared.redis import keys
from shared.redis.client import redis_time_ms
from shared.runs.admission import WEBHOOK_CHECK_MS, Occupied
from tests.support.admission_harness import OWNER, AdmissionHarness


async def _next_check(harness: AdmissionHarness, run_id: str) -> float | None:
    """Return the seconds until the run is checked."""
    due = await harness.redis.execute_command("ZSCORE", keys.WEBHOOK_RUNS, run_id)
    return None if due is None else (float(due) - await redis_time_ms(harness.redis)) / 1000


async def test_admitted_run_is_listed_for_a_later_check(harness: AdmissionHarness) -> None:
    await harness.admit("reported", webhooks=True)
    await harness.admit("other")

    due = await _next_check(harness, "reported")

    assert due is not None
    assert WEBHOOK_CHECK_MS / 1000 - 10 < due <= WEBHOOK_CHECK_MS / 1000
    assert await _next_check(harness, "other") is None


async def test_refused_run_is_not_listed(harness: AdmissionHarness) -> None:
    await harness.admit("first", chat="trip")

    assert await harness.admit("second", chat="trip", webhooks=True) == Occupied("first")

    assert await _next_check(harness, "second") is None


async def test_recorded_end_makes_the_check_due(harness: AdmissionHarness) -> None:
    await harness.admit("reported", webhooks=True)
    await harness.admit("other")

    for run_id in ("reported", "other"):
        await harness.end(run_id)
        await harness.ended_runs.add(run_id, failed=False)

    due = await _next_check(harness, "reported")
    assert due is not None
    assert due <= 0
    assert await _next_check(harness, "other") is None


async def test_erased_run_is_no_longer_listed(harness: AdmissionHarness) -> None:
    await harness.admit("reported", chat="trip", webhooks=True)

    await harness.chats.remove(OWNER, "trip", ["reported"])

    assert await _next_check(harness, "reported") is None
