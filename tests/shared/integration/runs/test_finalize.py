"""Ending runs outside an attempt, on real Redis."""

from shared.queue.job_queue import JobQueue
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.ended_runs import EndedRuns
from shared.runs.finalize import RunEnding, RunFinalizer
from shared.streams.event_stream import Append, read_all
from shared.streams.events import Abort, Start, decode
from shared.streams.run_state import RunState
from shared.streams.ui_message import UIMessageBuilder
from tests.support.answer_metadata import without_metadata
from tests.support.fakes.jobs import put_job
from tests.support.stream_harness import redis_harness


async def test_run_is_ended_only_once(redis: Redis) -> None:
    harness = redis_harness(redis)
    run = await harness.run(await harness.create_run())
    finalizer = RunFinalizer(harness.stream, EndedRuns(redis, retention=60))

    assert await finalizer.end(run, RunEnding.cancelled())
    assert not await finalizer.end(run, RunEnding.lost(run.request_id))

    *entries, done = await read_all(harness.stream, run.id)
    log = [decode(entry.data) for entry in entries]
    assert without_metadata(log) == [Start(message_id="msg-1"), Abort()]
    assert done.is_last
    assert (await harness.run(run.id)).state is RunState.CANCELLED


async def test_metadata_without_a_worker_has_no_digest(redis: Redis) -> None:
    harness = redis_harness(redis)
    run = await harness.run(await harness.create_run())
    finalizer = RunFinalizer(harness.stream, EndedRuns(redis, retention=60))

    await finalizer.end(run, RunEnding.lost(run.request_id))

    entries = await read_all(harness.stream, run.id)
    message = UIMessageBuilder("msg-1")
    message.add(entries)
    metadata = message.build()["metadata"]["mamba"]
    assert metadata.pop("finishedAt") >= metadata.pop("createdAt")
    offset_of_the_error = entries[-2].offset
    assert metadata == {
        "runId": run.id,
        "model": "gpt-4o",
        "stopped": False,
        "events": offset_of_the_error,
    }


async def test_running_attempt_is_fenced_when_its_run_is_ended(redis: Redis) -> None:
    harness = redis_harness(redis)
    run_id, takeover = await harness.begin_run()
    finalizer = RunFinalizer(harness.stream, EndedRuns(redis, retention=60))
    await finalizer.end(await harness.run(run_id), RunEnding.cancelled())
    before = await read_all(harness.stream, run_id)

    verdict = await harness.append(Append(run_id, takeover.attempt, 1, [b"late"]))

    assert isinstance(verdict, Exception)
    assert await read_all(harness.stream, run_id) == before


async def test_job_is_removed_and_failed_run_recorded(redis: Redis) -> None:
    harness, failed_runs = redis_harness(redis), EndedRuns(redis, retention=60)
    run = await harness.run(await harness.create_run())
    await put_job(redis, run.id, due=0)
    finalizer = RunFinalizer(harness.stream, failed_runs, JobQueue(redis))

    await finalizer.end(run, RunEnding.lost(run.request_id))

    assert await failed_runs.newest_failed(10) == [run.id]
    assert (await harness.run(run.id)).error == "lost"
    assert await redis.execute_command("ZCARD", keys.QUEUE) == 0
