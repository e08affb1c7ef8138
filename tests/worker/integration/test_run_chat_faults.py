"""Chat runs on real Redis: lost leases, unreadable jobs, unknown agents and outages."""

import asyncio
from collections.abc import (
    Awaitable,
    Callable,
)
from contextlib import suppress
from typing import Any

import pytest
from arq.worker import Retry, RetryJob
from pydantic_ai.models.function import DeltaToolCall
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.redis import keys
from shared.redis.client import redis_time_ms
from shared.runs.finalize import RunEnding
from shared.runs.run import Run
from shared.settings import RunSettings
from shared.streams.event_stream import Append, Closure, Takeover, Verdict, read_all
from shared.streams.events import (
    Abort,
    Error,
    Finish,
    Start,
    StreamEvent,
)
from shared.streams.run_state import RunState
from tests.support.run_chat_harness import (
    RATE_LIMIT,
    REJECTED,
    RUN,
    RunChatHarness,
    ScriptedModels,
    error_code,
    job,
    kinds,
    start,
    text_of,
)
from tests.support.wait import until
from worker.jobs.running_runs import Interrupt

pytestmark = pytest.mark.usefixtures("no_pauses")


async def test_run_with_a_lost_lease_writes_nothing_more(harness: RunChatHarness) -> None:
    task = asyncio.create_task(harness.run(["Hello", asyncio.Event()]))
    await harness.wait_for_text("Hello")
    before = await read_all(harness.stream, RUN)

    harness.running.cancel(RUN, Interrupt.TAKEN_OVER)
    with pytest.raises(RetryJob):
        await task

    assert await read_all(harness.stream, RUN) == before
    assert (await harness.now()).state is RunState.RUNNING


async def test_lease_that_expired_without_redis_is_no_crash(
    harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, failures = harness.runs.count_handover, [RedisConnectionError("away")] * 2

    async def count_when_back(run_id: str, attempt: int) -> None:
        if failures:
            raise failures.pop()
        await count(run_id, attempt)

    monkeypatch.setattr(harness.runs, "count_handover", count_when_back)
    task = asyncio.create_task(harness.run(["Hello", asyncio.Event()]))
    await harness.wait_for_text("Hello")

    harness.running.cancel(RUN, Interrupt.TAKEN_OVER)
    with pytest.raises(RetryJob):
        await task

    assert not failures
    assert (await harness.stream.take_over(RUN)).crashes == 0


async def test_fenced_run_writes_nothing_more(harness: RunChatHarness) -> None:
    resume = asyncio.Event()
    task = asyncio.create_task(harness.run(["Hello", resume, "old", asyncio.Event()]))
    await harness.wait_for_text("Hello")

    await harness.stream.take_over(RUN)
    resume.set()
    with pytest.raises(RetryJob):
        await task

    assert await harness.text_so_far() == "Hello"


async def test_run_ended_elsewhere_is_left_unchanged(harness: RunChatHarness) -> None:
    resume = asyncio.Event()
    task = asyncio.create_task(harness.run(["Hello", resume, "old", asyncio.Event()]))
    await harness.wait_for_text("Hello")

    await harness.finalizer.end(await harness.now(), RunEnding.cancelled())
    before = await read_all(harness.stream, RUN)
    resume.set()
    with pytest.raises(RetryJob):
        await task
    await harness.run(["again"])

    assert await read_all(harness.stream, RUN) == before


async def test_job_of_an_unknown_run_is_dropped(harness: RunChatHarness) -> None:
    await harness.redis.execute_command("FLUSHALL")

    await harness.run(["never"])

    assert not await harness.redis.execute_command("KEYS", "*")


BROKEN_ARGS: dict[str, Any] = {
    "nothing": None,
    "a string": "run",
    "an empty object": {},
    "a newer version": job(version=2),
    "an unknown part": job(messages=[{"role": "user", "parts": [{"type": "hologram"}]}]),
    "no messages": {key: value for key, value in job().items() if key != "messages"},
}


@pytest.mark.parametrize("args", BROKEN_ARGS.values(), ids=BROKEN_ARGS.keys())
async def test_unreadable_job_fails_its_run(harness: RunChatHarness, args: Any) -> None:
    await harness.runner(["never"])({"job_id": RUN}, args)

    log = await harness.log()
    assert kinds(log) == ["start", "data-error", "error"]
    assert log[0] == Start(message_id="msg")
    assert error_code(log) == "unreadable_job"


async def test_job_without_arguments_fails_its_run(harness: RunChatHarness) -> None:
    await harness.runner(["never"])({"job_id": RUN})

    assert error_code(await harness.log()) == "unreadable_job"


async def test_dropped_job_fails_its_run_and_closes_open_parts(harness: RunChatHarness) -> None:
    task = asyncio.create_task(harness.run(["Hello", asyncio.Event()]))
    await harness.wait_for_text("Hello")
    task.cancel()
    await asyncio.wait([task])

    runner = harness.runner(["never"])
    await runner.drop(RUN)
    await runner.drop(RUN)

    log = await harness.log()
    assert kinds(log)[-4:] == ["text-end", "finish-step", "data-error", "error"]
    assert error_code(log) == "dropped"


async def test_run_of_an_unknown_agent_is_left_to_another_worker(harness: RunChatHarness) -> None:
    for _ in range(3):
        with pytest.raises(Retry):
            await start(harness.runner(["never"]), agent="unknown")

    assert (await harness.now()).attempts == 0
    await harness.run(["Hello"])
    assert text_of(await harness.log()) == "Hello"


async def test_run_of_an_unknown_agent_fails_after_the_wait(harness: RunChatHarness) -> None:
    harness.settings = RunSettings(agent_wait_seconds=0.05)
    runner = harness.runner(["never"])

    async def ended() -> bool:
        with suppress(Retry):
            await start(runner, agent="unknown")
        return (await harness.now()).state.ended

    await until(ended)

    assert error_code(await harness.log()) == "unknown_agent"
    await start(runner, agent="unknown")


async def test_takeover_restarts_the_wait_for_an_agent(harness: RunChatHarness) -> None:
    await harness.runs.hand_back(RUN)
    await harness.redis.execute_command("HSET", f"mamba:run:{{{RUN}}}", "handed_back", "0 1")
    assert (await harness.runs.hand_back(RUN) or 0) > 30

    await harness.stream.take_over(RUN)

    assert await harness.runs.hand_back(RUN) == 0


async def test_delay_of_a_run_without_agent_grows_with_its_wait(harness: RunChatHarness) -> None:
    delays: list[int] = []
    for waited in (0, 12, 25):
        since = f"0 {await redis_time_ms(harness.redis) - waited * 1000}"
        await harness.redis.execute_command("HSET", keys.run(RUN), "handed_back", since)
        with pytest.raises(Retry) as handed_back:
            await start(harness.runner(["never"]), agent="unknown")
        delays.append(handed_back.value.defer_score or 0)

    assert 150 <= delays[0] <= 300
    assert 1500 <= delays[1] <= 3500
    assert 2500 <= delays[2] <= 5000


async def test_unexpected_error_is_retried_as_a_crash(
    harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: str, *, worker: str) -> Takeover:
        raise RedisConnectionError(f"away: secret {worker}")

    with monkeypatch.context() as patch:
        patch.setattr(harness.stream, "take_over", broken)
        with pytest.raises(RetryJob):
            await harness.run(["never"])

    await harness.run(["Hello"])

    assert text_of(await harness.log()) == "Hello"


async def test_unreadable_job_is_kept_during_a_redis_outage(
    harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: str) -> Run | None:
        raise RedisConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(harness.runs, "get", broken)
        with pytest.raises(RetryJob):
            await harness.runner(["never"])({"job_id": RUN}, {})

    await harness.runner(["never"])({"job_id": RUN}, {})

    assert error_code(await harness.log()) == "unreadable_job"


async def test_error_while_counting_a_failure_is_retried(
    harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: str, __: int) -> None:
        raise RedisConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(harness.runs, "count_failure", broken)
        with pytest.raises(RetryJob):
            await harness.run(["Hello", RATE_LIMIT])

    await harness.run(["!"])

    assert text_of(await harness.log()) == "Hello!"


async def test_failed_append_is_repeated(
    harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, calls = harness.stream.append, 0

    async def flaky(*appends: Append) -> list[Verdict]:
        nonlocal calls
        calls += 1
        verdicts = await append(*appends) if calls % 3 else []
        if calls % 3 != 1:
            raise RedisConnectionError("the reply was lost")
        return verdicts

    monkeypatch.setattr(harness.stream, "append", flaky)
    await harness.run(["Hello", ", ", "world."])

    assert text_of(await harness.log()) == "Hello, world."


async def test_answer_longer_than_a_page_survives_a_handover(harness: RunChatHarness) -> None:
    takeover = await harness.stream.take_over(RUN)
    head = b'{"type":"start","messageId":"msg"}', b'{"type":"start-step"}'
    text = [b'{"type":"text-start","id":"text-1"}']
    text += [b'{"type":"text-delta","id":"text-1","delta":"a"}'] * 2500
    await harness.stream.append(Append(RUN, takeover.attempt, 1, [*head, *text]))
    models = ScriptedModels(["b"])

    await start(harness.runner(models=models))

    assert text_of(await harness.log()) == "a" * 2500 + "b"
    assert models.requests[0][-2].parts[0].content == "a" * 2500  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def _stopped(harness: RunChatHarness) -> None:
    task = asyncio.create_task(harness.run(["Hello", asyncio.Event()]))
    await harness.wait_for_text("Hello")
    harness.running.cancel(RUN, Interrupt.STOP)
    harness.running.cancel(RUN, Interrupt.TAKEN_OVER)
    await task


async def _stopped_at_its_end(harness: RunChatHarness) -> None:
    open_stream = asyncio.Event()
    task = asyncio.create_task(harness.run(["Hello", open_stream]))
    await harness.wait_for_text("Hello")
    open_stream.set()
    harness.running.cancel(RUN, Interrupt.STOP)
    await task


async def _handed_over_at_its_end(harness: RunChatHarness) -> None:
    task = asyncio.create_task(harness.run(["Hello"]))

    async def ended() -> bool:
        return (await harness.now()).state.ended

    await until(ended)
    task.cancel()
    await asyncio.wait([task])


async def _raced(harness: RunChatHarness) -> None:
    """Run the job in two workers at once."""
    await asyncio.gather(
        harness.run(["Hello"]),
        RunChatHarness(harness.redis, harness.stream, harness.committer, harness.runs).run(
            ["Hello"]
        ),
        return_exceptions=True,
    )
    await harness.run(["Hello"])


async def _closed_by_two(harness: RunChatHarness) -> None:
    run = await harness.now()
    ending: list[StreamEvent] = [Error(error_text="lost")]
    failed = RunEnding(ending, Closure(RunState.FAILED))
    closing = [harness.finalizer.end(run, failed) for _ in range(5)]
    await asyncio.gather(harness.run(["Hello"]), *closing, return_exceptions=True)


SCENARIOS: dict[str, Callable[[RunChatHarness], Awaitable[object]]] = {
    "success": lambda harness: harness.run(["Hello"]),
    "success, twice": lambda harness: harness.run(["Hello"]),
    "empty answer": lambda harness: harness.run([""]),
    "no answer at all": lambda harness: harness.run([]),
    "error": lambda harness: harness.run([REJECTED]),
    "error in the middle": lambda harness: harness.run(["Hello", REJECTED]),
    "retries spent": lambda harness: harness.run(["Hello", RATE_LIMIT]),
    "unknown tool": lambda harness: harness.run([{0: DeltaToolCall("nothing", "{}")}]),
    "broken arguments": lambda harness: harness.run([{0: DeltaToolCall("nothing", "{")}]),
    "steps without end": lambda harness: harness.run([{0: DeltaToolCall("nothing", "{}")}]),
    "stop": _stopped,
    "stop at its end": _stopped_at_its_end,
    "handover at its end": _handed_over_at_its_end,
    "two workers": _raced,
    "two who close": _closed_by_two,
    "unreadable": lambda harness: harness.runner([])({"job_id": RUN}, {}),
    "dropped": lambda harness: harness.runner([]).drop(RUN),
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
async def test_each_scenario_ends_exactly_once(
    harness: RunChatHarness, scenario: Callable[[RunChatHarness], Awaitable[object]]
) -> None:
    await scenario(harness)
    await harness.run(["too late"])

    log = await harness.log()
    ends = [event for event in log if isinstance(event, Finish | Error | Abort)]
    assert ends == log[-1:]
    assert [event for event in log if isinstance(event, Start)] == log[:1]
    assert (await harness.now()).state.ended
    assert "too late" not in text_of(log)
    assert not list(harness.running)
