import re

import pytest

from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.run import Run, RunState, RunStore, new_run_id
from tests.support.fakes.runs import new_run

_, _, SUCCEEDED, FAILED, CANCELLED = RunState


def test_a_run_that_waits_or_is_made_has_not_ended() -> None:
    assert {state for state in RunState if state.ended} == {SUCCEEDED, FAILED, CANCELLED}


def test_run_ids_are_short_unique_and_safe_in_an_address_and_a_command() -> None:
    ids = {new_run_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert all(re.fullmatch(r"[0-9A-Za-z]{20}", run_id) for run_id in ids)


FULL = new_run("run-1").model_copy(
    update={
        "chat_id": "Größe: 1 \U0001f600\n",
        "state": FAILED,
        "attempts": 4,
        "failures": 1,
        "handovers": 2,
        "cancel": 1,
        "error": "upstream_down",
        "started_at": 1_700_000_000_000,
        "ended_at": 1_700_000_001_000,
    }
)


@pytest.mark.parametrize("run", [new_run("run-1"), FULL], ids=["new", "full"])
def test_a_run_comes_back_from_its_hash(run: Run) -> None:
    assert Run.model_validate(run.to_hash()) == run


def test_a_hash_holds_only_text_and_nothing_that_is_not_known() -> None:
    fields = new_run().to_hash()

    assert {type(value) for value in fields.values()} == {str}
    assert fields.keys().isdisjoint({"error", "started_at", "ended_at"})
    assert fields["state"] == "queued"


@pytest.fixture
def runs(redis: Redis) -> RunStore:
    return RunStore(redis, live_ttl=600)


@pytest.mark.parametrize("run", [new_run("run-1"), FULL], ids=["new", "full"])
async def test_a_stored_run_is_found_again(redis: Redis, runs: RunStore, run: Run) -> None:
    await runs.create(run)

    assert await runs.get("run-1") == run
    left: int = await redis.execute_command("PTTL", keys.run("run-1"))
    assert 570_000 < left <= 600_000


async def test_an_unknown_run_is_none(runs: RunStore) -> None:
    assert await runs.get("unknown") is None


async def test_a_field_of_a_newer_version_is_no_obstacle(redis: Redis, runs: RunStore) -> None:
    run = new_run("run-1")
    await runs.create(run)
    await redis.execute_command("HSET", keys.run("run-1"), "priority", "high")

    assert await runs.get("run-1") == run


async def test_what_happened_to_a_run_is_counted(runs: RunStore) -> None:
    await runs.create(new_run("run-1"))

    await runs.request_cancel("run-1")
    for attempt in (1, 2):
        await runs.count_failure("run-1", attempt)
    for attempt in (3, 4, 5):
        await runs.count_handover("run-1", attempt)

    run = await runs.get("run-1")
    assert run is not None
    assert (run.cancel, run.failures, run.handovers) == (1, 2, 3)
