"""Chat runs on real Redis: output, retries, timeouts, stops and handovers."""

import asyncio

import pytest
from pydantic_ai import exceptions

from shared.settings import RunSettings
from shared.streams.event_stream import Takeover, read_all
from shared.streams.events import (
    Start,
    StartStep,
    TextDelta,
    TextStart,
    decode,
)
from shared.streams.run_state import RunState
from tests.support.run_chat_harness import (
    RATE_LIMIT,
    REJECTED,
    RUN,
    RunChatHarness,
    ScriptedModels,
    error_code,
    kinds,
    restart_with_log,
    start,
    text_of,
)
from tests.support.wait import until
from worker.jobs import retry_policy
from worker.jobs.running_runs import Interrupt
from worker.models.continue_prompt import CONTINUE_PROMPT

pytestmark = pytest.mark.usefixtures("no_pauses")


async def test_answer_is_streamed_and_the_run_succeeds(harness: RunChatHarness) -> None:
    await harness.run(["Hello", ", ", "world."])

    log = await harness.log()
    assert text_of(log) == "Hello, world."
    assert kinds(log)[:3] == ["start", "start-step", "text-start"]
    assert kinds(log)[-3:] == ["text-end", "finish-step", "finish"]
    assert log[0] == Start(message_id="msg")
    run = await harness.now()
    assert (run.state, run.attempts, run.failures, run.error) == (RunState.SUCCEEDED, 1, 0, None)
    assert run.started_at
    assert run.ended_at


async def test_failure_before_the_first_token_is_retried_invisibly(harness: RunChatHarness) -> None:
    await harness.run([RATE_LIMIT], [RATE_LIMIT], ["Hello"])

    log = await harness.log()
    assert kinds(log) == [
        "start",
        "start-step",
        "text-start",
        "text-delta",
        "text-end",
        "finish-step",
        "finish",
    ]
    run = await harness.now()
    assert (run.state, run.attempts, run.failures) == (RunState.SUCCEEDED, 3, 2)


async def test_failure_mid_answer_continues_in_the_same_part(harness: RunChatHarness) -> None:
    models = ScriptedModels(["Hello", RATE_LIMIT], [", world."])

    await start(harness.runner(models=models))

    log = await harness.log()
    assert text_of(log) == "Hello, world."
    assert kinds(log).count("text-start") == kinds(log).count("start-step") == 1
    assert kinds(log).count("text-end") == kinds(log).count("finish-step") == 1
    *_, partial, prompt = models.requests[1]
    assert partial.parts[0].content == "Hello"  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    assert prompt.parts[-1].content == CONTINUE_PROMPT  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def test_run_fails_with_the_last_error_after_all_retries(harness: RunChatHarness) -> None:
    harness.settings = RunSettings(max_retries=2)
    models = ScriptedModels([RATE_LIMIT])

    await start(harness.runner(models=models))

    log = await harness.log()
    assert kinds(log)[-2:] == ["data-error", "error"]
    assert error_code(log) == "rate_limited"
    assert len(models.requests) == 3
    run = await harness.now()
    assert (run.state, run.failures, run.error) == (RunState.FAILED, 2, "rate_limited")


async def test_permanent_error_fails_the_run_immediately(harness: RunChatHarness) -> None:
    models = ScriptedModels(["Hello", REJECTED])

    await start(harness.runner(models=models))

    log = await harness.log()
    assert len(models.requests) == 1
    assert error_code(log) == "model_rejected"
    assert kinds(log)[-4:] == ["text-end", "finish-step", "data-error", "error"]


@pytest.mark.parametrize("error", [RATE_LIMIT, REJECTED, ValueError("secret"), OSError("secret")])
async def test_stream_does_not_expose_error_texts(
    harness: RunChatHarness, error: Exception
) -> None:
    await harness.run([error])

    assert "secret" not in repr(await harness.log())


async def test_run_over_its_time_limit_fails(harness: RunChatHarness) -> None:
    harness.settings = RunSettings(timeout_seconds=2)

    await harness.run(["Hello", asyncio.Event()])

    log = await harness.log()
    assert text_of(log) == "Hello"
    assert error_code(log) == "run_timeout"
    assert (await harness.now()).error == "run_timeout"


async def test_unrelated_timeout_is_an_internal_error(harness: RunChatHarness) -> None:
    await harness.run([TimeoutError("a socket")])

    assert error_code(await harness.log()) == "internal_error"


async def test_run_timeout_covers_all_attempts(harness: RunChatHarness) -> None:
    await harness.stream.take_over(RUN)
    started = (await harness.now()).started_at
    assert started
    await harness.redis.execute_command(
        "HSET", f"mamba:run:{{{RUN}}}", "started_at", str(started - 301_000)
    )
    models = ScriptedModels(["Hello"])

    await start(harness.runner(models=models))

    assert error_code(await harness.log()) == "run_timeout"


async def test_retry_after_beyond_the_timeout_fails_immediately(harness: RunChatHarness) -> None:
    error = exceptions.ModelRateLimitError("m", "no", retry_after=3600)

    async with asyncio.timeout(5):
        await harness.run([error])

    assert error_code(await harness.log()) == "rate_limited"


async def test_retry_after_replaces_the_backoff(
    harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_policy, "_BASE_SECONDS", 1000.0)
    error = exceptions.ModelRateLimitError("m", "no", retry_after=0)

    await harness.run([error], ["Hello"])

    assert text_of(await harness.log()) == "Hello"


async def test_answer_that_reaches_its_limit_of_bytes_fails(harness: RunChatHarness) -> None:
    harness.settings = RunSettings(answer_bytes=2**20)
    pieces = ["x" * 100_000] * 30

    await harness.run(pieces)

    log = await harness.log()
    assert error_code(log) == "response_too_large"
    # What is written before the limit is noticed: the merged and unwritten events.
    assert 2**20 <= len(text_of(log)) < 2 * 2**20


async def test_bytes_of_earlier_attempts_count(harness: RunChatHarness) -> None:
    harness.settings = RunSettings(answer_bytes=2**20)
    begun = [Start(message_id="msg"), StartStep(), TextStart(id="text-1")]
    await restart_with_log(harness, [*begun, TextDelta(id="text-1", delta="x" * 2**20)])

    await harness.run(["more"])

    assert error_code(await harness.log()) == "response_too_large"


async def test_stop_ends_a_run_during_streaming(harness: RunChatHarness) -> None:
    task = asyncio.create_task(harness.run(["Hello", asyncio.Event()]))
    await harness.wait_for_text("Hello")

    harness.running.cancel(RUN, Interrupt.STOP)
    await task

    log = await harness.log()
    assert kinds(log)[-3:] == ["text-end", "finish-step", "abort"]
    assert text_of(log) == "Hello"
    assert (await harness.now()).state is RunState.CANCELLED


async def test_missed_stop_command_takes_effect_at_the_next_append(harness: RunChatHarness) -> None:
    resume = asyncio.Event()
    task = asyncio.create_task(harness.run(["Hello", resume, ", world", asyncio.Event()]))
    await harness.wait_for_text("Hello")

    await harness.runs.request_stop(RUN)
    resume.set()
    await task

    assert kinds(await harness.log())[-1] == "abort"


async def pausing(harness: RunChatHarness) -> asyncio.Task[None]:
    """Start a job that pauses for 100 seconds before its second attempt."""
    error = exceptions.ModelRateLimitError("m", "no", retry_after=100)
    models = ScriptedModels([error], ["never"])
    task = asyncio.create_task(start(harness.runner(models=models)))

    async def refused() -> bool:
        return bool(models.requests) and bool(await read_all(harness.stream, RUN))

    await until(refused)
    return task


async def test_stop_ends_a_run_during_a_retry_pause(harness: RunChatHarness) -> None:
    task = await pausing(harness)

    harness.running.cancel(RUN, Interrupt.STOP)
    await task

    assert kinds(await harness.log())[-1] == "abort"


@pytest.mark.parametrize("interrupt", [Interrupt.STOP, None])
async def test_interrupt_during_a_takeover_is_handled(
    harness: RunChatHarness, monkeypatch: pytest.MonkeyPatch, interrupt: Interrupt | None
) -> None:
    taken, resume = asyncio.Event(), asyncio.Event()
    take_over = harness.stream.take_over

    async def slowly(run_id: str, *, worker: str) -> Takeover:
        takeover = await take_over(run_id, worker=worker)
        taken.set()
        await resume.wait()
        return takeover

    monkeypatch.setattr(harness.stream, "take_over", slowly)
    task = asyncio.create_task(harness.run(["never"]))
    await taken.wait()
    if interrupt:
        harness.running.cancel(RUN, interrupt)
    else:
        task.cancel()
    resume.set()
    await asyncio.wait([task])

    run = await harness.now()
    assert run.attempts == 1
    if interrupt:
        assert kinds(await harness.log()) == ["start", "abort"]
    else:
        assert run.handovers == 1
        assert await read_all(harness.stream, RUN)


@pytest.mark.parametrize("steps", range(16))
async def test_handover_while_a_request_fails_is_not_lost(
    harness: RunChatHarness, steps: int
) -> None:
    error = exceptions.ModelRateLimitError("m", "no", retry_after=100)
    models = ScriptedModels([error], ["never"])
    task = asyncio.create_task(start(harness.runner(models=models)))
    await models.requested.wait()
    for _ in range(steps):  # the steps in which the error passes through the agent
        await asyncio.sleep(0)

    task.cancel()
    await asyncio.wait([task])

    run = await harness.now()
    assert (run.failures, run.handovers) == (0, 1)


async def test_handover_during_a_retry_pause_is_counted_once(harness: RunChatHarness) -> None:
    task = await pausing(harness)

    task.cancel()
    await asyncio.wait([task])
    run = await harness.now()
    assert (run.failures, run.handovers) == (0, 1)

    await harness.run(["Hello"])
    assert text_of(await harness.log()) == "Hello"


async def test_run_stopped_before_its_start_makes_no_request(harness: RunChatHarness) -> None:
    await harness.runs.request_stop(RUN)
    models = ScriptedModels(["never"])

    await start(harness.runner(models=models))

    assert kinds(await harness.log()) == ["start", "abort"]
    assert not models.requests


async def test_run_over_its_crash_budget_fails(harness: RunChatHarness) -> None:
    harness.settings = RunSettings(max_crashes=2)
    for _ in range(3):
        await harness.stream.take_over(RUN)

    await harness.run(["never"])

    log = await harness.log()
    assert kinds(log) == ["start", "data-error", "error"]
    assert error_code(log) == "crash_budget"


async def test_run_within_its_crash_budget_succeeds(harness: RunChatHarness) -> None:
    harness.settings = RunSettings(max_crashes=2)
    for _ in range(2):
        await harness.stream.take_over(RUN)

    await harness.run(["Hello"])

    assert kinds(await harness.log())[-1] == "finish"


async def test_handovers_do_not_consume_any_budget(harness: RunChatHarness) -> None:
    harness.settings = RunSettings(max_crashes=0, max_retries=0)
    for _ in range(3):
        task = asyncio.create_task(harness.run(["Hello", asyncio.Event()]))

        async def answering() -> bool:
            return any(True for _ in harness.running) and bool(await harness.text_so_far())

        await until(answering)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    run = await harness.now()
    assert (run.state, run.attempts, run.handovers) == (RunState.RUNNING, 3, 3)

    await harness.run(["!"])

    assert (await harness.now()).state is RunState.SUCCEEDED


async def test_handover_keeps_the_written_events_and_writes_no_end(harness: RunChatHarness) -> None:
    task = asyncio.create_task(harness.run(["Hello", asyncio.Event()]))
    await harness.wait_for_text("Hello")

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    entries = await read_all(harness.stream, RUN)
    assert kinds([decode(entry.data) for entry in entries]) == [
        "start",
        "start-step",
        "text-start",
        "text-delta",
    ]
    await harness.run([", world."])
    assert text_of(await harness.log()) == "Hello, world."
