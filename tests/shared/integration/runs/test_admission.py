"""Admission: an admitted run is queued exactly once, and a refused one leaves no trace."""

import asyncio

import pytest

from shared.errors import IdempotencyMismatch, TooManyRequests, TooManyRuns
from shared.redis import keys
from shared.runs.admission import Admitted, Idempotency, NotNewest, Occupied
from shared.streams.run_state import RunState
from tests.support.admission_harness import (
    CHAT,
    LIVE_TTL,
    OWNER,
    AdmissionHarness,
    HarnessLimits,
    admitted,
)


async def test_admitted_run_is_queued_as_the_newest_of_its_chat(harness: AdmissionHarness) -> None:
    assert await harness.chats.newest_run(OWNER, CHAT) is None

    assert await harness.admit("run-1", chat=CHAT) == admitted("run-1")

    run = await harness.runs.get("run-1")
    assert run is not None
    assert (run.owner, run.chat_id, run.state) == (OWNER, CHAT, RunState.QUEUED)
    assert await harness.chats.newest_run(OWNER, CHAT) == "run-1"
    assert await harness.queued_jobs() == [b"run-1"]
    assert await harness.wakeup_tokens() == 1


async def test_run_is_admitted_after_the_previous_one_ended(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", chat=CHAT)
    await harness.end("run-1")

    assert await harness.admit("run-2", chat=CHAT) == admitted("run-2")

    assert await harness.chats.newest_run(OWNER, CHAT) == "run-2"


async def test_run_is_admitted_after_the_previous_one_expired(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", chat=CHAT)
    await harness.logs.execute_command("DEL", keys.run("run-1"))

    assert await harness.admit("run-2", chat=CHAT) == admitted("run-2")


@pytest.mark.parametrize("running", [False, True])
async def test_chat_with_a_live_run_is_occupied(
    harness: AdmissionHarness, *, running: bool
) -> None:
    await harness.admit("run-1", chat=CHAT)
    if running:
        await harness.stream.take_over("run-1")
    before = await harness.dump()

    assert await harness.admit("run-2", chat=CHAT) == Occupied("run-1")

    assert await harness.dump() == before


async def test_concurrent_runs_of_one_chat_admit_exactly_one(harness: AdmissionHarness) -> None:
    for attempt in range(20):
        rivals = [f"run-{attempt}-{name}" for name in "ab"]
        outcomes = await asyncio.gather(*(harness.admit(name, chat=CHAT) for name in rivals))
        [winner] = [outcome for outcome in outcomes if isinstance(outcome, Admitted)]
        [loser] = [name for name in rivals if name != winner.run_id]

        assert await harness.chats.newest_run(OWNER, CHAT) == winner.run_id
        assert not await harness.queue.queued(loser)
        assert not await harness.redis.execute_command("EXISTS", keys.job(loser))
        assert await harness.runs.get(loser) is None
        await harness.end(winner.run_id)


async def test_chats_are_separate_for_each_owner(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", chat=CHAT, owner="anna")
    await harness.admit("run-2", chat=CHAT, owner="bert")

    assert await harness.chats.newest_run("anna", CHAT) == "run-1"
    assert await harness.chats.newest_run("bert", CHAT) == "run-2"


async def test_chat_id_cannot_reach_the_chat_of_another_owner(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", chat="b:c", owner="a")

    assert await harness.chats.newest_run("a:b", "c") is None
    assert await harness.chats.newest_run("", "a:b:c") is None


async def test_wakeup_tokens_are_capped(harness: AdmissionHarness) -> None:
    tokens = ["1"] * 998
    await harness.redis.execute_command("LPUSH", keys.wakeup(keys.QUEUE), *tokens)

    for number in range(5):
        await harness.admit(f"run-{number}")

    assert await harness.wakeup_tokens() == 1000
    assert len(await harness.queued_jobs()) == 5


async def test_each_key_expires_after_the_live_ttl(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", idempotency=Idempotency("key", "a"))

    names: list[bytes] = await harness.redis.execute_command("KEYS", "*")
    stored = {*names} - {keys.MEMORY_CHECKED.encode()}
    assert len(stored) == 18
    others = {keys.admitted("run-1").encode(), keys.virtual_clock(keys.QUEUE).encode()}
    for name in stored - others:
        ttl: int = await harness.redis.execute_command("PTTL", name)
        assert LIVE_TTL * 1000 - 30_000 < ttl <= LIVE_TTL * 1000


async def test_jobs_of_an_owner_wait_in_order_of_admission(harness: AdmissionHarness) -> None:
    seconds, micros = await harness.redis.execute_command("TIME")
    await harness.admit("run-1")
    await harness.admit("run-2")

    due = keys.due_times(keys.QUEUE)
    score = float(await harness.redis.execute_command("ZSCORE", due, "run-1"))

    assert await harness.queued_jobs() == [b"run-1", b"run-2"]
    assert 0 <= score - (int(seconds) * 1000 + int(micros) // 1000) < 10_000


async def test_runs_stay_in_order_when_the_clock_is_set_back(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", chat=CHAT)
    await harness.end("run-1")
    order = keys.chat_runs(OWNER, CHAT)
    await harness.redis.execute_command("ZINCRBY", order, 300_000, "run-1")

    for name in ("run-2", "run-3"):
        await harness.admit(name, chat=CHAT)
        await harness.end(name)

    assert await harness.chats.runs(OWNER, CHAT) == ["run-3", "run-2", "run-1"]


async def test_admission_reloads_a_script_that_the_server_lost(harness: AdmissionHarness) -> None:
    await harness.redis.execute_command("SCRIPT", "FLUSH")

    assert await harness.admit("run-1") == admitted("run-1")


# Repeated admissions


async def test_repeated_admission_changes_nothing(harness: AdmissionHarness) -> None:
    limits: HarnessLimits = {"requests_per_minute": 1, "burst": 2, "live_runs": 1, "queue_depth": 1}
    first = await harness.admit("run-1", **limits)
    before = await harness.dump()

    again = await harness.admit("run-1", **limits)

    assert isinstance(first, Admitted)
    assert isinstance(again, Admitted)
    assert again.run_id == "run-1"
    assert again.rate_limit_status is not None
    assert again.rate_limit_status.remaining == 1
    assert await harness.dump() == before


async def test_repeated_admission_succeeds_after_a_newer_run(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", chat=CHAT)
    await harness.admit("run-2", chat=CHAT, supersede=True)

    assert await harness.admit("run-1", chat=CHAT) == admitted("run-1")

    assert await harness.chats.newest_run(OWNER, CHAT) == "run-2"


# Superseding


async def test_supersede_cancels_the_live_run_and_delays_the_next(
    harness: AdmissionHarness,
) -> None:
    await harness.admit("run-1", chat=CHAT)

    outcome = await harness.admit("run-2", chat=CHAT, supersede=True)

    assert outcome == Admitted("run-2", ("run-1",), None)
    superseded = await harness.runs.get("run-1")
    assert superseded is not None
    assert superseded.stop_requests == 1
    assert await harness.chats.newest_run(OWNER, CHAT) == "run-2"
    assert (await harness.depth())[:3] == (1, 0, 1)
    assert await harness.wakeup_tokens() == 1


async def test_repeated_supersede_returns_the_same_superseded_run(
    harness: AdmissionHarness,
) -> None:
    await harness.admit("run-1", chat=CHAT)
    first = await harness.admit("run-2", chat=CHAT, supersede=True)
    before = await harness.dump()

    assert await harness.admit("run-2", chat=CHAT, supersede=True) == first

    assert await harness.dump() == before


async def test_superseding_an_ended_run_does_not_delay_the_next(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", chat=CHAT)
    await harness.end("run-1")

    assert await harness.admit("run-2", chat=CHAT, supersede=True) == admitted("run-2")

    assert (await harness.depth()).waiting == 1


REFUSALS: list[HarnessLimits] = [
    {"requests_per_minute": 1, "burst": 1},
    {"live_runs": 1},
    {"queue_depth": 1},
]


@pytest.mark.parametrize("limits", REFUSALS, ids=lambda limits: next(iter(limits)))
async def test_refused_supersede_cancels_nothing(
    harness: AdmissionHarness, limits: HarnessLimits
) -> None:
    await harness.admit("run-1", chat=CHAT, **limits)
    await harness.admit("other")
    before = await harness.dump()

    with pytest.raises(TooManyRequests):
        await harness.admit("run-2", chat=CHAT, supersede=True, **limits)

    assert await harness.dump() == before


async def test_superseded_run_does_not_count_toward_the_live_limit(
    harness: AdmissionHarness,
) -> None:
    await harness.admit("run-1", chat=CHAT, live_runs=1)

    outcome = await harness.admit("run-2", chat=CHAT, supersede=True, live_runs=1)

    assert outcome == Admitted("run-2", ("run-1",), None)


async def test_concurrent_supersedes_each_cancel_the_previous_run(
    harness: AdmissionHarness,
) -> None:
    await harness.admit("run-0", chat=CHAT)
    names = [f"run-{number}" for number in range(1, 20)]

    outcomes = await asyncio.gather(
        *(harness.admit(name, chat=CHAT, supersede=True) for name in names)
    )

    admissions = [outcome for outcome in outcomes if isinstance(outcome, Admitted)]
    superseded = [run_id for admission in admissions for run_id in admission.superseded]
    newest = await harness.chats.newest_run(OWNER, CHAT)
    assert sorted([*superseded, str(newest)]) == sorted(["run-0", *names])


# Idempotency keys


async def test_reused_idempotency_key_returns_the_same_run(harness: AdmissionHarness) -> None:
    key = Idempotency.of("key", b"Hi")
    await harness.admit("run-1", chat=CHAT, idempotency=key)
    before = await harness.dump()

    assert await harness.admit("run-2", chat=CHAT, idempotency=key) == admitted("run-1")

    assert await harness.dump() == before


async def test_reused_idempotency_key_bypasses_limits(harness: AdmissionHarness) -> None:
    key = Idempotency.of("key", b"Hi")
    limits: HarnessLimits = {"requests_per_minute": 1, "burst": 1, "live_runs": 1, "queue_depth": 1}
    await harness.admit("run-1", idempotency=key, **limits)

    again = await harness.admit("run-2", idempotency=key, **limits)

    assert isinstance(again, Admitted)
    assert again.run_id == "run-1"


async def test_idempotency_key_of_another_request_is_refused(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", idempotency=Idempotency.of("key", b"Hi"))
    before = await harness.dump()

    with pytest.raises(IdempotencyMismatch):
        await harness.admit("run-2", idempotency=Idempotency.of("key", b"Ho"))

    assert await harness.dump() == before


async def test_idempotency_key_of_an_expired_run_can_be_reused(harness: AdmissionHarness) -> None:
    await harness.admit("run-1", idempotency=Idempotency.of("key", b"Hi"))
    await harness.logs.execute_command("DEL", keys.run("run-1"))

    assert await harness.admit("run-2", idempotency=Idempotency.of("key", b"Ho")) == admitted(
        "run-2"
    )


async def test_refused_request_does_not_store_its_idempotency_key(
    harness: AdmissionHarness,
) -> None:
    key = Idempotency.of("key", b"Hi")
    await harness.admit("run-1", live_runs=1)
    with pytest.raises(TooManyRuns):
        await harness.admit("run-2", idempotency=key, live_runs=1)

    assert await harness.admit("run-3", idempotency=key) == admitted("run-3")


async def test_idempotency_keys_are_separate_for_each_owner(harness: AdmissionHarness) -> None:
    key = Idempotency.of("key", b"Hi")
    await harness.admit("run-1", owner="anna", idempotency=key)

    assert await harness.admit("run-2", owner="bert", idempotency=key) == admitted("run-2")


async def test_concurrent_requests_with_one_key_create_one_run(harness: AdmissionHarness) -> None:
    key = Idempotency.of("key", b"Hi")

    outcomes = await asyncio.gather(
        *(harness.admit(f"run-{number}", idempotency=key) for number in range(50))
    )

    assert len({outcome.run_id for outcome in outcomes if isinstance(outcome, Admitted)}) == 1
    assert len(await harness.queued_jobs()) == 1


# Continuations


async def test_continuation_extends_the_ttl_of_the_continued_runs(
    harness: AdmissionHarness,
) -> None:
    names = [key(f"run-{number}") for number in (1, 2) for key in (keys.run, keys.stream)]
    for number, continues in enumerate([(), ("run-1",)], start=1):
        await harness.admit(f"run-{number}", chat=CHAT, continues=continues)
        await harness.end(f"run-{number}")
    for name in names:
        await harness.logs.execute_command("PEXPIRE", name, 20_000)

    assert await harness.admit("run-3", chat=CHAT, continues=("run-1", "run-2")) == admitted(
        "run-3"
    )

    for name in names:
        assert await harness.logs.execute_command("PTTL", name) > 20_000
    run = await harness.runs.get("run-3")
    assert run is not None
    assert run.continues == ("run-1", "run-2")


@pytest.mark.parametrize("supersede", [False, True])
async def test_second_continuation_of_a_run_changes_nothing(
    harness: AdmissionHarness,
    supersede: bool,  # noqa: FBT001
) -> None:
    await harness.admit("run-1", chat=CHAT)
    await harness.end("run-1")
    await harness.admit("run-2", chat=CHAT, continues=("run-1",))
    before = await harness.dump()

    live = await harness.admit("run-3", chat=CHAT, continues=("run-1",), supersede=supersede)
    assert (live, await harness.dump()) == (Occupied("run-2"), before)

    await harness.end("run-2")
    late = await harness.admit("run-3", chat=CHAT, continues=("run-1",), supersede=supersede)
    assert late == NotNewest()


async def test_run_of_an_expired_chat_is_not_continued(harness: AdmissionHarness) -> None:
    assert await harness.admit("run-2", chat=CHAT, continues=("run-1",)) == NotNewest()


async def test_known_returns_the_run_of_an_idempotency_key(harness: AdmissionHarness) -> None:
    key, other = Idempotency.of("k", b"a"), Idempotency.of("k", b"b")
    assert await harness.admission.find_idempotent_run(OWNER, key) is None

    await harness.admit("run-1", idempotency=key)

    assert await harness.admission.find_idempotent_run(OWNER, key) == "run-1"
    with pytest.raises(IdempotencyMismatch):
        await harness.admission.find_idempotent_run(OWNER, other)
