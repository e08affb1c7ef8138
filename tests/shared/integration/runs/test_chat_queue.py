"""Runs that wait for the live run of their chat start in order, however earlier ones end."""

import asyncio

import pytest

from shared.errors import ChatQueueFull
from shared.queue.chat_queue import RECHECK_MS
from shared.queue.queue_positions import QueuePosition, QueuePositions
from shared.redis import keys
from shared.redis.client import redis_time_ms
from shared.runs.admission import Admitted, Idempotency, Occupied
from shared.runs.finalize import RunEnding, RunFinalizer
from shared.streams.event_stream import Append, Closure
from shared.streams.events import DONE
from shared.streams.run_state import RunState
from tests.support.admission_harness import CHAT, OWNER, AdmissionHarness, admitted


async def wait_behind(harness: AdmissionHarness, *names: str) -> None:
    """Admit a live run and runs that wait for it."""
    for name in names:
        assert await harness.admit(name, chat=CHAT, queue=True) == admitted(name)


async def due_jobs(harness: AdmissionHarness) -> list[str]:
    now = await redis_time_ms(harness.redis)
    due: list[bytes] = await harness.redis.execute_command(
        "ZRANGEBYSCORE", keys.QUEUE, "-inf", now + 1
    )
    return [job.decode() for job in due]


async def close(harness: AdmissionHarness, name: str) -> None:
    """End a run as a worker does that crashes before it removes the job."""
    takeover = await harness.stream.take_over(name)
    closure = Closure(RunState.SUCCEEDED)
    await harness.stream.append(Append(name, takeover.attempt, 1, [DONE], closure))


async def test_waiting_runs_are_deferred_and_start_in_order(harness: AdmissionHarness) -> None:
    names = ["run-1", "run-2", "run-3", "run-4"]
    await wait_behind(harness, *names)
    assert await harness.chats.in_order(OWNER, CHAT) == names

    for name in names:
        assert await due_jobs(harness) == [name]
        await harness.end(name)

    assert await due_jobs(harness) == []
    assert await harness.chats.in_order(OWNER, CHAT) == []
    leftover = await harness.redis.execute_command("KEYS", "mamba:job:*")
    assert leftover == []


async def test_waiting_run_stores_the_live_runs_before_it(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-1", "run-2", "run-3")
    await close(harness, "run-1")  # its job is still in the queue
    await wait_behind(harness, "run-4")
    await harness.admit("run-5", chat=CHAT, supersede=True)

    stored = [await harness.runs.fields(f"run-{number}") for number in range(1, 6)]

    found = [fields.get("waits_for") for fields in stored]
    assert found == [None, "run-1", "run-1 run-2", "run-2 run-3", None]
    assert stored[-1]["supersedes"] == "run-2 run-3 run-4"


async def test_start_of_a_waiting_run_wakes_a_worker(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-1", "run-2")
    await harness.redis.execute_command("DEL", keys.wakeup(keys.QUEUE))

    await harness.end("run-1")

    assert await harness.wakeup_tokens() == 1


async def test_concurrent_requests_all_wait(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-0")
    names = [f"run-{number}" for number in range(1, 9)]

    outcomes = await asyncio.gather(
        *(harness.admit(name, chat=CHAT, queue=True, max_waiting=8) for name in names)
    )

    assert outcomes == [admitted(name) for name in names]
    assert sorted(await harness.chats.in_order(OWNER, CHAT)) == ["run-0", *names]
    assert await due_jobs(harness) == ["run-0"]


async def test_chat_order_is_the_order_of_the_index(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-z", "run-b", "run-a", "run-c")

    assert await harness.chats.runs(OWNER, CHAT) == ["run-c", "run-a", "run-b", "run-z"]


async def test_full_chat_queue_refuses_without_a_trace(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-1", "run-2", "run-3")
    before = await harness.dump()

    with pytest.raises(ChatQueueFull) as refused:
        await harness.admit("run-4", chat=CHAT, queue=True, max_waiting=2)

    assert refused.value.retry_after >= 1
    assert await harness.dump() == before


async def test_waiting_runs_count_as_live_runs(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-1", "run-2")

    assert sorted(await harness.live_runs()) == [b"run-1", b"run-2"]
    assert await harness.admit("run-3", chat=CHAT) == Occupied("run-1")


async def test_waiting_run_can_be_stopped(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-1", "run-2", "run-3")
    waiting = await harness.runs.get("run-2")
    assert waiting is not None
    finalizer = RunFinalizer(harness.stream, harness.ended_runs, harness.queue)

    await finalizer.end(waiting, RunEnding.cancelled())

    assert await harness.chats.in_order(OWNER, CHAT) == ["run-1", "run-3"]
    assert await due_jobs(harness) == ["run-1"]
    await harness.end("run-1")
    assert await due_jobs(harness) == ["run-3"]


async def test_crash_after_the_end_of_a_run_keeps_its_job(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-1", "run-2", "run-3")
    await close(harness, "run-2")  # an API process that stopped it crashed before it removed it

    await harness.end("run-1")
    assert await due_jobs(harness) == ["run-2"]
    await harness.queue.remove("run-2")  # by the worker that claims it

    assert await due_jobs(harness) == ["run-3"]


async def test_next_request_does_not_wait_for_an_ended_run(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-1")
    await close(harness, "run-1")

    assert await harness.admit("run-2", chat=CHAT) == admitted("run-2")

    await harness.queue.remove("run-1")
    assert await due_jobs(harness) == ["run-2"]
    assert await harness.chats.in_order(OWNER, CHAT) == ["run-2"]


async def test_run_waits_for_another_waiting_run(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-1", "run-2")
    await close(harness, "run-1")

    assert await harness.admit("run-3", chat=CHAT, queue=True) == admitted("run-3")

    assert await harness.chats.in_order(OWNER, CHAT) == ["run-1", "run-2", "run-3"]


async def test_lost_job_does_not_keep_the_next_run_waiting(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-1", "run-2", "run-3")
    await harness.redis.execute_command("ZREM", keys.QUEUE, "run-1")

    assert await harness.queue.find_jobs([("run-3", keys.MAIN_QUEUE, True)]) == {"run-3"}

    assert await due_jobs(harness) == ["run-2"]
    assert await harness.chats.in_order(OWNER, CHAT) == ["run-2", "run-3"]


async def test_orphaned_run_is_reported_before_a_run_waits(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-1", "run-2")
    await harness.redis.execute_command("ZREM", keys.QUEUE, "run-1")

    assert await harness.admit("run-3", chat=CHAT, queue=True) == Occupied("run-1")


async def test_supersede_replaces_live_and_waiting_runs(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-1", "run-2", "run-3")

    outcome = await harness.admit("run-4", chat=CHAT, supersede=True, live_runs=3)

    assert outcome == Admitted("run-4", ("run-1", "run-2", "run-3"), None)
    for name in ("run-1", "run-2", "run-3"):
        run = await harness.runs.get(name)
        assert run is not None
        assert run.stop_requests == 1
    assert await harness.chats.in_order(OWNER, CHAT) == ["run-4"]
    await harness.end("run-2")
    assert await due_jobs(harness) == ["run-1"]


async def test_repeated_request_returns_the_waiting_run(harness: AdmissionHarness) -> None:
    key = Idempotency.of("key", b"Hi")
    await wait_behind(harness, "run-1")
    await harness.admit("run-2", chat=CHAT, queue=True, idempotency=key)
    before = await harness.dump()

    assert await harness.admit("run-3", chat=CHAT, queue=True, idempotency=key) == admitted("run-2")
    assert await harness.dump() == before


async def test_waiting_run_is_rechecked_if_nothing_starts_it(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-1", "run-2")

    due = float(await harness.redis.execute_command("ZSCORE", keys.QUEUE, "run-2"))

    assert 0 < due - await redis_time_ms(harness.redis) <= RECHECK_MS


async def test_positions_count_the_runs_of_the_chat(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-1", "run-2", "run-3")

    positions = await QueuePositions(harness.redis).read(["run-1", "run-2", "run-3"])

    assert positions == [
        QueuePosition(1, 1),
        QueuePosition(1, 2, behind_chat=True),
        QueuePosition(2, 2, behind_chat=True),
    ]


async def test_requeue_keeps_the_order_of_a_chat(harness: AdmissionHarness) -> None:
    await wait_behind(harness, "run-1", "run-2")

    assert await harness.queue.requeue("run-2") == "behind"

    assert await due_jobs(harness) == ["run-1"]
