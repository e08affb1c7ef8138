import pytest

from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.run import Run
from shared.runs.store import RunStore, hash_fields
from shared.streams.run_state import RunState
from tests.support.fakes.runs import new_run

FULL = new_run("run-1").model_copy(
    update={
        "chat_id": "Größe: 1 \U0001f600\n",
        "continues": ("run-a", "run-b"),
        "state": RunState.FAILED,
        "attempts": 4,
        "failures": 1,
        "handovers": 2,
        "stop_requests": 1,
        "error": "upstream_down",
        "started_at": 1_700_000_000_000,
        "ended_at": 1_700_000_001_000,
    }
)


@pytest.fixture
def runs(redis: Redis) -> RunStore:
    return RunStore(redis, live_ttl=600)


def test_hash_holds_only_text_and_no_unset_field() -> None:
    names, values = hash_fields(new_run())[::2], hash_fields(new_run())[1::2]

    assert {type(value) for value in values} == {str}
    assert {"error", "started_at", "ended_at"}.isdisjoint(names)
    assert dict(zip(names, values, strict=True))["state"] == "queued"


def test_hash_separates_continued_runs_with_spaces() -> None:
    fields = hash_fields(FULL)

    assert fields[fields.index("continues") + 1] == "run-a run-b"


async def stored_as(runs: RunStore, run: Run) -> Run:
    """Return the run with the time of its admission, which Redis stores."""
    stored = await runs.get(run.id)
    assert stored is not None
    return run.model_copy(update={"admitted_at": stored.admitted_at})


@pytest.mark.parametrize("run", [new_run("run-1"), FULL], ids=["new", "full"])
async def test_stored_run_round_trips(redis: Redis, runs: RunStore, run: Run) -> None:
    await runs.create(run)

    assert await runs.get("run-1") == await stored_as(runs, run)
    left: int = await redis.execute_command("PTTL", keys.run("run-1"))
    assert 570_000 < left <= 600_000


async def test_unknown_run_is_none(runs: RunStore) -> None:
    assert await runs.get("unknown") is None


async def test_unknown_hash_fields_are_ignored(redis: Redis, runs: RunStore) -> None:
    run = new_run("run-1")
    await runs.create(run)
    await redis.execute_command("HSET", keys.run("run-1"), "field_of_a_newer_version", "1")

    assert await runs.get("run-1") == await stored_as(runs, run)


async def test_stop_requests_failures_and_handovers_are_counted(runs: RunStore) -> None:
    await runs.create(new_run("run-1"))

    await runs.request_stop("run-1")
    for attempt in (1, 2):
        await runs.count_failure("run-1", attempt)
    for attempt in (3, 4, 5):
        await runs.count_handover("run-1", attempt)

    run = await runs.get("run-1")
    assert run is not None
    assert (run.stop_requests, run.failures, run.handovers) == (1, 2, 3)
