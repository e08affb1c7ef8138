"""One run's job on a real log: whatever happens, one end, and no word twice or lost."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Sequence,
)
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from arq.worker import RetryJob
from pydantic import SecretStr
from pydantic_ai import Agent, Tool, exceptions
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.chat.messages import Message, TextPart
from shared.queue.job import RunChat
from shared.redis.client import Redis
from shared.runs.failed_runs import FailedRuns
from shared.runs.finalize import RunEnding, RunFinalizer
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.settings import OpenAISettings, RunSettings, Settings
from shared.settings.live_settings import LiveSettings
from shared.streams import events
from shared.streams.event_stream import Append, Closure, RedisEventStream, Takeover, read_all
from shared.streams.events import (
    Abort,
    Error,
    Event,
    Finish,
    Start,
    StreamEvent,
    TextDelta,
    decode,
)
from shared.streams.events import Data as DataEvent
from shared.streams.run_state import RunState
from tests.support.upstream.client import Upstream
from tests.support.wait import until
from worker.agents import engine
from worker.agents.builtin.chat import chat
from worker.agents.definition import AgentDefinition, AnyAgent
from worker.agents.engine import AgentEngine
from worker.jobs import retry_policy, run_chat
from worker.jobs.attempt import RunServices
from worker.jobs.attempt_runner import AttemptRunner
from worker.jobs.retry_policy import RetryPolicy
from worker.jobs.run_chat import ChatRunner
from worker.jobs.running_runs import Interrupt, RunningRuns
from worker.models.continue_prompt import CONTINUE_PROMPT
from worker.models.registry import ModelRegistry
from worker.models.stream_timeouts import StreamTimeouts
from worker.output.writer import GroupCommit

RUN = "run"
RATE_LIMIT = exceptions.ModelRateLimitError("m", "slow down: secret")
REJECTED = exceptions.ModelRequestRejectedError("m", "bad: secret")

Piece = str | DeltaToolCalls | Exception | asyncio.Event


class ScriptedModels(ModelRegistry):
    """One model, whose requests are answered by these turns in order, then by the last."""

    def __init__(self, *turns: Sequence[Piece]) -> None:
        super().__init__(LiveSettings(Settings(openai=OpenAISettings(demo=True))))
        self.turns = list(turns)
        self.requests: list[list[ModelMessage]] = []
        self._model = FunctionModel(stream_function=self._stream)

    def get(self, name: str) -> Model:  # noqa: ARG002
        return self._model

    async def _stream(
        self,
        messages: list[ModelMessage],
        info: AgentInfo,  # noqa: ARG002
    ) -> AsyncIterator[str | DeltaToolCalls]:
        turn = self.turns[min(len(self.requests), len(self.turns) - 1)]
        self.requests.append(messages)
        for piece in turn:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            else:
                yield piece


@dataclass
class Desk:
    """A runner with all that it needs, and one run to answer."""

    redis: Redis
    stream: RedisEventStream
    commit: GroupCommit
    runs: RunStore
    running: RunningRuns = field(default_factory=RunningRuns)
    settings: RunSettings = field(default_factory=RunSettings)
    pace: StreamTimeouts = field(default_factory=lambda: StreamTimeouts(first_token=60, silence=60))
    definition: AgentDefinition = chat
    agent: AnyAgent = field(default_factory=lambda: Agent(name="chat"))

    def runner(self, *turns: Sequence[Piece], models: ModelRegistry | None = None) -> ChatRunner:
        services = RunServices(self.runs, self.stream, self.commit, self.finalizer)
        retries = RetryPolicy(lambda _: self.settings.max_retries)
        attempts = AttemptRunner(services, lambda: self.settings, retries)
        agents = {self.definition.name: self.answerer(models or ScriptedModels(*turns))}
        return ChatRunner(services, attempts, self.running, agents, lambda: self.settings)

    @property
    def finalizer(self) -> RunFinalizer:
        return RunFinalizer(self.stream, FailedRuns(self.redis, retention=60))

    def answerer(self, models: ModelRegistry) -> AgentEngine:
        return AgentEngine(
            self.definition,
            self.agent,
            models,
            max_steps=lambda: self.settings.max_steps,
            timeouts=lambda _: self.pace,
        )

    async def run(self, *turns: Sequence[Piece]) -> None:
        await start(self.runner(*turns))

    async def accept(self) -> Run:
        run = Run(
            id=RUN,
            chat_id="chat",
            owner="me",
            message_id="msg",
            agent="chat",
            model="m",
            request_id="req",
        )
        await self.runs.create(run)
        return run

    async def now(self) -> Run:
        run = await self.runs.get(RUN)
        assert run is not None
        return run

    async def log(self) -> list[StreamEvent]:
        """The events of a log that has ended; it is checked to be whole."""
        entries = await read_all(self.stream, RUN)
        assert [entry.offset for entry in entries] == list(range(1, len(entries) + 1))
        assert [entry.ends for entry in entries].count(True) == 1
        assert entries[-1].ends
        return [decode(entry.data) for entry in entries[:-1]]

    async def so_far(self) -> str:
        entries = await read_all(self.stream, RUN)
        return said([decode(entry.data) for entry in entries if not entry.ends])

    async def until_said(self, text: str) -> None:
        async def probe() -> bool:
            return await self.so_far() == text

        await until(probe)


def job(**changes: Any) -> dict[str, Any]:
    message = Message(role="user", parts=(TextPart(text="Hi"),))
    request = RunChat(
        run_id=RUN,
        chat_id="chat",
        message_id="msg",
        request_id="req",
        agent="chat",
        model="m",
        messages=(message,),
    )
    return {**request.model_dump(mode="json"), **changes}


async def start(runner: ChatRunner, **changes: Any) -> None:
    await runner({"job_id": RUN}, job(**changes))


def said(log: Sequence[StreamEvent]) -> str:
    return "".join(event.delta for event in log if isinstance(event, TextDelta))


def kinds(log: Sequence[Event]) -> list[str]:
    return [str(getattr(event, "type", "")) for event in log]


def error_code(log: Sequence[StreamEvent]) -> str:
    [detail] = [event for event in log if isinstance(event, DataEvent)]
    assert detail.type == "data-error"
    assert detail.transient
    return detail.data["code"]


@pytest.fixture
async def desk(redis: Redis) -> AsyncGenerator[Desk]:
    stream = RedisEventStream(redis, live_ttl=600, retention=300)
    async with GroupCommit(stream) as commit:
        desk = Desk(redis, stream, commit, RunStore(redis, live_ttl=600))
        await desk.accept()
        yield desk


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_policy, "_BASE_SECONDS", 0.0)
    monkeypatch.setattr(run_chat, "_BROKEN_SECONDS", 0.0)
    monkeypatch.setattr(run_chat, "_UNKNOWN_SECONDS", 0.0)


async def test_an_answer_is_streamed_and_the_run_succeeds(desk: Desk) -> None:
    await desk.run(["Hello", ", ", "world."])

    log = await desk.log()
    assert said(log) == "Hello, world."
    assert kinds(log)[:3] == ["start", "start-step", "text-start"]
    assert kinds(log)[-3:] == ["text-end", "finish-step", "finish"]
    assert log[0] == Start(message_id="msg")
    run = await desk.now()
    assert (run.state, run.attempts, run.failures, run.error) == (RunState.SUCCEEDED, 1, 0, None)
    assert run.started_at
    assert run.ended_at


async def test_a_failure_before_the_first_word_is_retried_unseen(desk: Desk) -> None:
    await desk.run([RATE_LIMIT], [RATE_LIMIT], ["Hello"])

    log = await desk.log()
    assert kinds(log) == [
        "start",
        "start-step",
        "text-start",
        "text-delta",
        "text-end",
        "finish-step",
        "finish",
    ]
    run = await desk.now()
    assert (run.state, run.attempts, run.failures) == (RunState.SUCCEEDED, 3, 2)


async def test_a_failure_in_the_middle_is_continued_in_the_same_part(desk: Desk) -> None:
    models = ScriptedModels(["Hello", RATE_LIMIT], [", world."])

    await start(desk.runner(models=models))

    log = await desk.log()
    assert said(log) == "Hello, world."
    assert kinds(log).count("text-start") == kinds(log).count("start-step") == 1
    assert kinds(log).count("text-end") == kinds(log).count("finish-step") == 1
    *_, partial, prompt = models.requests[1]
    assert partial.parts[0].content == "Hello"  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    assert prompt.parts[-1].content == CONTINUE_PROMPT  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def test_when_the_retries_are_spent_the_run_fails_with_the_last_error(desk: Desk) -> None:
    desk.settings = RunSettings(max_retries=2)
    models = ScriptedModels([RATE_LIMIT])

    await start(desk.runner(models=models))

    log = await desk.log()
    assert kinds(log)[-2:] == ["data-error", "error"]
    assert error_code(log) == "rate_limited"
    assert len(models.requests) == 3
    run = await desk.now()
    assert (run.state, run.failures, run.error) == (RunState.FAILED, 2, "rate_limited")


async def test_what_will_not_get_better_fails_at_once(desk: Desk) -> None:
    models = ScriptedModels(["Hello", REJECTED])

    await start(desk.runner(models=models))

    log = await desk.log()
    assert len(models.requests) == 1
    assert error_code(log) == "model_rejected"
    assert kinds(log)[-4:] == ["text-end", "finish-step", "data-error", "error"]


@pytest.mark.parametrize("error", [RATE_LIMIT, REJECTED, ValueError("secret"), OSError("secret")])
async def test_no_error_shows_its_own_words(desk: Desk, error: Exception) -> None:
    await desk.run([error])

    assert "secret" not in repr(await desk.log())


async def test_a_run_that_takes_too_long_is_ended(desk: Desk) -> None:
    desk.settings = RunSettings(timeout_seconds=0.2)

    await desk.run(["Hello", asyncio.Event()])

    log = await desk.log()
    assert said(log) == "Hello"
    assert error_code(log) == "run_timeout"
    assert (await desk.now()).error == "run_timeout"


async def test_a_time_out_of_something_else_is_not_the_runs(desk: Desk) -> None:
    await desk.run([TimeoutError("a socket")])

    assert error_code(await desk.log()) == "internal_error"


async def test_the_time_of_all_attempts_counts(desk: Desk) -> None:
    await desk.stream.take_over(RUN)
    started = (await desk.now()).started_at
    assert started
    await desk.redis.execute_command(
        "HSET", f"mamba:run:{{{RUN}}}", "started_at", str(started - 301_000)
    )
    models = ScriptedModels(["Hello"])

    await start(desk.runner(models=models))

    assert error_code(await desk.log()) == "run_timeout"


async def test_a_model_that_asks_for_more_time_than_there_is_fails_at_once(desk: Desk) -> None:
    error = exceptions.ModelRateLimitError("m", "no", retry_after=3600)

    async with asyncio.timeout(5):
        await desk.run([error])

    assert error_code(await desk.log()) == "rate_limited"


async def test_a_model_that_asks_for_time_gets_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_policy, "_BASE_SECONDS", 1000.0)
    error = exceptions.ModelRateLimitError("m", "no", retry_after=0)

    await desk.run([error], ["Hello"])

    assert said(await desk.log()) == "Hello"


async def test_a_run_is_stopped_while_its_model_speaks(desk: Desk) -> None:
    task = asyncio.create_task(desk.run(["Hello", asyncio.Event()]))
    await desk.until_said("Hello")

    desk.running.cancel(RUN, Interrupt.STOP)
    await task

    log = await desk.log()
    assert kinds(log)[-3:] == ["text-end", "finish-step", "abort"]
    assert said(log) == "Hello"
    assert (await desk.now()).state is RunState.CANCELLED


async def test_a_stop_that_was_not_heard_is_found_at_the_next_write(desk: Desk) -> None:
    go_on = asyncio.Event()
    task = asyncio.create_task(desk.run(["Hello", go_on, ", world", asyncio.Event()]))
    await desk.until_said("Hello")

    await desk.runs.request_cancel(RUN)
    go_on.set()
    await task

    assert kinds(await desk.log())[-1] == "abort"


async def pausing(desk: Desk) -> asyncio.Task[None]:
    """A job that pauses for long before its second attempt."""
    error = exceptions.ModelRateLimitError("m", "no", retry_after=100)
    models = ScriptedModels([error], ["never"])
    task = asyncio.create_task(start(desk.runner(models=models)))

    async def refused() -> bool:
        return bool(models.requests) and bool(await read_all(desk.stream, RUN))

    await until(refused)
    return task


async def test_a_run_is_stopped_while_it_pauses_before_a_retry(desk: Desk) -> None:
    task = await pausing(desk)

    desk.running.cancel(RUN, Interrupt.STOP)
    await task

    assert kinds(await desk.log())[-1] == "abort"


@pytest.mark.parametrize("interrupt", [Interrupt.STOP, None])
async def test_a_run_is_interrupted_while_it_is_taken_over(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, interrupt: Interrupt | None
) -> None:
    taken, go_on = asyncio.Event(), asyncio.Event()
    take_over = desk.stream.take_over

    async def slowly(run_id: str) -> Takeover:
        takeover = await take_over(run_id)
        taken.set()
        await go_on.wait()
        return takeover

    monkeypatch.setattr(desk.stream, "take_over", slowly)
    task = asyncio.create_task(desk.run(["never"]))
    await taken.wait()
    if interrupt:
        desk.running.cancel(RUN, interrupt)
    else:
        task.cancel()
    go_on.set()
    await asyncio.wait([task])

    run = await desk.now()
    assert run.attempts == 1
    if interrupt:
        assert kinds(await desk.log()) == ["start", "abort"]
    else:
        assert run.handovers == 1
        assert await read_all(desk.stream, RUN)


async def test_a_hand_over_in_a_pause_counts_once(desk: Desk) -> None:
    task = await pausing(desk)

    task.cancel()
    await asyncio.wait([task])
    run = await desk.now()
    assert (run.failures, run.handovers) == (0, 1)

    await desk.run(["Hello"])
    assert said(await desk.log()) == "Hello"


async def test_a_run_stopped_before_it_began_says_nothing(desk: Desk) -> None:
    await desk.runs.request_cancel(RUN)
    models = ScriptedModels(["never"])

    await start(desk.runner(models=models))

    assert kinds(await desk.log()) == ["start", "abort"]
    assert not models.requests


async def test_a_run_that_crashed_too_often_is_given_up(desk: Desk) -> None:
    desk.settings = RunSettings(max_crashes=2)
    for _ in range(3):
        await desk.stream.take_over(RUN)

    await desk.run(["never"])

    log = await desk.log()
    assert kinds(log) == ["start", "data-error", "error"]
    assert error_code(log) == "crash_budget"


async def test_crashes_within_the_budget_are_forgiven(desk: Desk) -> None:
    desk.settings = RunSettings(max_crashes=2)
    for _ in range(2):
        await desk.stream.take_over(RUN)

    await desk.run(["Hello"])

    assert kinds(await desk.log())[-1] == "finish"


async def test_hand_overs_cost_nothing(desk: Desk) -> None:
    desk.settings = RunSettings(max_crashes=0, max_retries=0)
    for _ in range(3):
        task = asyncio.create_task(desk.run(["Hello", asyncio.Event()]))

        async def answering() -> bool:
            return any(True for _ in desk.running) and bool(await desk.so_far())

        await until(answering)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    run = await desk.now()
    assert (run.state, run.attempts, run.handovers) == (RunState.RUNNING, 3, 3)

    await desk.run(["!"])

    assert (await desk.now()).state is RunState.SUCCEEDED


async def test_a_hand_over_leaves_all_that_was_said_and_no_end(desk: Desk) -> None:
    task = asyncio.create_task(desk.run(["Hello", asyncio.Event()]))
    await desk.until_said("Hello")

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    entries = await read_all(desk.stream, RUN)
    assert kinds([decode(entry.data) for entry in entries]) == [
        "start",
        "start-step",
        "text-start",
        "text-delta",
    ]
    await desk.run([", world."])
    assert said(await desk.log()) == "Hello, world."


async def test_whoever_lost_the_lease_says_nothing_more(desk: Desk) -> None:
    task = asyncio.create_task(desk.run(["Hello", asyncio.Event()]))
    await desk.until_said("Hello")
    before = await read_all(desk.stream, RUN)

    desk.running.cancel(RUN, Interrupt.LOST)
    with pytest.raises(RetryJob):
        await task

    assert await read_all(desk.stream, RUN) == before
    assert (await desk.now()).state is RunState.RUNNING


async def test_whoever_was_fenced_off_says_nothing_more(desk: Desk) -> None:
    go_on = asyncio.Event()
    task = asyncio.create_task(desk.run(["Hello", go_on, "old", asyncio.Event()]))
    await desk.until_said("Hello")

    await desk.stream.take_over(RUN)
    go_on.set()
    with pytest.raises(RetryJob):
        await task

    assert await desk.so_far() == "Hello"


async def test_a_run_that_another_ended_is_left_alone(desk: Desk) -> None:
    go_on = asyncio.Event()
    task = asyncio.create_task(desk.run(["Hello", go_on, "old", asyncio.Event()]))
    await desk.until_said("Hello")

    await desk.finalizer.end(await desk.now(), RunEnding.cancelled())
    before = await read_all(desk.stream, RUN)
    go_on.set()
    with pytest.raises(RetryJob):
        await task
    await desk.run(["again"])

    assert await read_all(desk.stream, RUN) == before


async def test_a_run_that_nobody_knows_is_let_go(desk: Desk) -> None:
    await desk.redis.execute_command("FLUSHALL")

    await desk.run(["never"])

    assert not await desk.redis.execute_command("KEYS", "*")


BROKEN_ARGS: dict[str, Any] = {
    "nothing": None,
    "a string": "run",
    "an empty object": {},
    "a newer version": job(version=2),
    "an unknown part": job(messages=[{"role": "user", "parts": [{"type": "hologram"}]}]),
    "no messages": {key: value for key, value in job().items() if key != "messages"},
}


@pytest.mark.parametrize("args", BROKEN_ARGS.values(), ids=BROKEN_ARGS.keys())
async def test_a_job_that_cannot_be_read_ends_its_run(desk: Desk, args: Any) -> None:
    await desk.runner(["never"])({"job_id": RUN}, args)

    log = await desk.log()
    assert kinds(log) == ["start", "data-error", "error"]
    assert log[0] == Start(message_id="msg")
    assert error_code(log) == "unreadable_job"


async def test_a_job_without_arguments_ends_its_run(desk: Desk) -> None:
    await desk.runner(["never"])({"job_id": RUN})

    assert error_code(await desk.log()) == "unreadable_job"


async def test_a_dropped_job_ends_its_run_and_closes_what_is_open(desk: Desk) -> None:
    task = asyncio.create_task(desk.run(["Hello", asyncio.Event()]))
    await desk.until_said("Hello")
    task.cancel()
    await asyncio.wait([task])

    runner = desk.runner(["never"])
    await runner.drop(RUN)
    await runner.drop(RUN)

    log = await desk.log()
    assert kinds(log)[-4:] == ["text-end", "finish-step", "data-error", "error"]
    assert error_code(log) == "dropped"


async def test_a_run_of_an_unknown_agent_is_left_to_a_worker_that_knows_it(desk: Desk) -> None:
    for _ in range(3):
        with pytest.raises(RetryJob):
            await start(desk.runner(["never"]), agent="nobody")

    assert (await desk.now()).attempts == 0
    await desk.run(["Hello"])
    assert said(await desk.log()) == "Hello"


async def test_a_run_of_an_agent_that_nobody_knows_fails_in_the_end(desk: Desk) -> None:
    desk.settings = RunSettings(agent_wait_seconds=0.05)
    runner = desk.runner(["never"])

    async def ended() -> bool:
        with suppress(RetryJob):
            await start(runner, agent="nobody")
        return (await desk.now()).state.ended

    await until(ended)

    assert error_code(await desk.log()) == "unknown_agent"
    await start(runner, agent="nobody")


async def test_the_wait_for_an_agent_begins_anew_once_somebody_had_known_it(desk: Desk) -> None:
    await desk.runs.hand_back(RUN)
    await desk.redis.execute_command("HSET", f"mamba:run:{{{RUN}}}", "unbegun", "0 1")
    assert (await desk.runs.hand_back(RUN) or 0) > 30

    await desk.stream.take_over(RUN)

    assert await desk.runs.hand_back(RUN) == 0


async def test_a_run_is_stopped_while_it_waits_for_an_agent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_chat, "_UNKNOWN_SECONDS", 100.0)
    task = asyncio.create_task(start(desk.runner(["never"]), agent="nobody"))

    async def waiting() -> bool:
        return bool(await desk.redis.execute_command("HEXISTS", f"mamba:run:{{{RUN}}}", "unbegun"))

    await until(waiting)
    desk.running.cancel(RUN, Interrupt.STOP)
    await task

    assert kinds(await desk.log()) == ["start", "abort"]


async def test_what_nobody_expected_is_tried_again_as_a_crash(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: str) -> Takeover:
        raise RedisConnectionError("away: secret")

    with monkeypatch.context() as patch:
        patch.setattr(desk.stream, "take_over", broken)
        with pytest.raises(RetryJob):
            await desk.run(["never"])

    await desk.run(["Hello"])

    assert said(await desk.log()) == "Hello"


async def test_a_job_that_cannot_be_read_is_kept_while_redis_is_away(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: str) -> Run | None:
        raise RedisConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(desk.runs, "get", broken)
        with pytest.raises(RetryJob):
            await desk.runner(["never"])({"job_id": RUN}, {})

    await desk.runner(["never"])({"job_id": RUN}, {})

    assert error_code(await desk.log()) == "unreadable_job"


async def test_a_failure_to_count_a_failure_is_tried_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: str, __: int) -> None:
        raise RedisConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(desk.runs, "count_failure", broken)
        with pytest.raises(RetryJob):
            await desk.run(["Hello", RATE_LIMIT])

    await desk.run(["!"])

    assert said(await desk.log()) == "Hello!"


async def test_a_write_that_redis_did_not_take_is_repeated(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, calls = desk.stream.append, 0

    async def moody(*appends: Append) -> list[bool | Exception]:
        nonlocal calls
        calls += 1
        verdicts = await append(*appends) if calls % 3 else []
        if calls % 3 != 1:
            raise RedisConnectionError("the reply was lost")
        return verdicts

    monkeypatch.setattr(desk.stream, "append", moody)
    await desk.run(["Hello", ", ", "world."])

    assert said(await desk.log()) == "Hello, world."


async def test_an_answer_longer_than_a_page_survives_a_hand_over(desk: Desk) -> None:
    takeover = await desk.stream.take_over(RUN)
    head = b'{"type":"start","messageId":"msg"}', b'{"type":"start-step"}'
    text = [b'{"type":"text-start","id":"text-1"}']
    text += [b'{"type":"text-delta","id":"text-1","delta":"a"}'] * 2500
    await desk.stream.append(Append(RUN, takeover.attempt, 1, [*head, *text]))
    models = ScriptedModels(["b"])

    await start(desk.runner(models=models))

    assert said(await desk.log()) == "a" * 2500 + "b"
    assert models.requests[0][-2].parts[0].content == "a" * 2500  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def _stopped(desk: Desk) -> None:
    task = asyncio.create_task(desk.run(["Hello", asyncio.Event()]))
    await desk.until_said("Hello")
    desk.running.cancel(RUN, Interrupt.STOP)
    desk.running.cancel(RUN, Interrupt.LOST)
    await task


async def _stopped_at_its_end(desk: Desk) -> None:
    gate = asyncio.Event()
    task = asyncio.create_task(desk.run(["Hello", gate]))
    await desk.until_said("Hello")
    gate.set()
    desk.running.cancel(RUN, Interrupt.STOP)
    await task


async def _handed_over_at_its_end(desk: Desk) -> None:
    task = asyncio.create_task(desk.run(["Hello"]))

    async def ended() -> bool:
        return (await desk.now()).state.ended

    await until(ended)
    task.cancel()
    await asyncio.wait([task])


async def _raced(desk: Desk) -> None:
    """Two workers have the job at once."""
    await asyncio.gather(
        desk.run(["Hello"]),
        Desk(desk.redis, desk.stream, desk.commit, desk.runs).run(["Hello"]),
        return_exceptions=True,
    )
    await desk.run(["Hello"])


async def _closed_by_two(desk: Desk) -> None:
    run = await desk.now()
    ending: list[StreamEvent] = [Error(error_text="lost")]
    failed = RunEnding(ending, Closure(RunState.FAILED))
    closing = [desk.finalizer.end(run, failed) for _ in range(5)]
    await asyncio.gather(desk.run(["Hello"]), *closing, return_exceptions=True)


STORIES: dict[str, Callable[[Desk], Awaitable[None]]] = {
    "success": lambda desk: desk.run(["Hello"]),
    "success, twice": lambda desk: desk.run(["Hello"]),
    "empty answer": lambda desk: desk.run([""]),
    "no answer at all": lambda desk: desk.run([]),
    "error": lambda desk: desk.run([REJECTED]),
    "error in the middle": lambda desk: desk.run(["Hello", REJECTED]),
    "retries spent": lambda desk: desk.run(["Hello", RATE_LIMIT]),
    "unknown tool": lambda desk: desk.run([{0: DeltaToolCall("nothing", "{}")}]),
    "broken arguments": lambda desk: desk.run([{0: DeltaToolCall("nothing", "{")}]),
    "steps without end": lambda desk: desk.run([{0: DeltaToolCall("nothing", "{}")}]),
    "stop": _stopped,
    "stop at its end": _stopped_at_its_end,
    "hand-over at its end": _handed_over_at_its_end,
    "two workers": _raced,
    "two who close": _closed_by_two,
    "unreadable": lambda desk: desk.runner([])({"job_id": RUN}, {}),
    "dropped": lambda desk: desk.runner([]).drop(RUN),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
async def test_every_story_has_exactly_one_end(
    desk: Desk, story: Callable[[Desk], Awaitable[None]]
) -> None:
    await story(desk)
    await desk.run(["too late"])

    log = await desk.log()
    ends = [event for event in log if isinstance(event, Finish | Error | Abort)]
    assert ends == log[-1:]
    assert [event for event in log if isinstance(event, Start)] == log[:1]
    assert (await desk.now()).state.ended
    assert "too late" not in said(log)
    assert not list(desk.running)


TOOL = "generateCard"


def call(title: str, arguments: str | None = None) -> dict[str, Any]:
    shape = {"name": TOOL, "arguments": arguments or f'{{"title":"{title}"}}', "pieces": 3}
    return {"tool": {"id": f"call-{title}", **shape}}


def text(*pieces: str) -> dict[str, Any]:
    return {"text": list(pieces)}


FIRST, SECOND = text("Let ", "me ", "see"), text("There ", "you ", "are.")
WRONG = call("wrong", '{"title": []}')

ANSWERS: dict[str, list[list[dict[str, Any]]]] = {
    "text": [[text("a", "b", "c")]],
    "text, tool, text": [[FIRST, call("one")], [SECOND]],
    "tool, text": [[call("one")], [SECOND]],
    "text, tool, tool, text": [[FIRST, call("one")], [call("two")], [SECOND]],
    "two tools at once": [[FIRST, call("one"), call("two")], [SECOND]],
    "wrong arguments": [[FIRST, WRONG], [text("Again"), call("two")], [SECOND]],
    "wrong and right arguments at once": [[FIRST, WRONG, call("two")], [SECOND]],
}


@dataclass
class ToolPart:
    """A tool part as a client shows it."""

    name: str
    id: str
    input: Any = None
    output: Any = None
    error: str | None = None
    state: str = "streaming"


class ClientMessage:
    """The message that an AI SDK client puts together, by its rules."""

    def __init__(self, log: Sequence[StreamEvent]) -> None:
        self.parts: list[Any] = []
        self._texts: dict[str, list[str]] = {}
        self._tools: dict[str, ToolPart] = {}
        for event in log:
            self._add(event)
        assert not self._texts
        assert all(tool.state in ("done", "error") for tool in self._tools.values())

    def _add(self, event: StreamEvent) -> None:
        match event:
            case events.StartStep():
                self.parts.append("step")
            case events.TextStart():
                assert event.id not in self._texts
                self._texts[event.id] = ["text", ""]
                self.parts.append(self._texts[event.id])
            case events.TextDelta():
                self._texts[event.id][1] += event.delta
            case events.TextEnd():
                del self._texts[event.id]
            case events.ToolInputStart():
                assert event.tool_call_id not in self._tools
                tool = ToolPart(event.tool_name, event.tool_call_id)
                self._tools[event.tool_call_id] = tool
                self.parts.append(tool)
            case events.FinishStep():
                assert not self._texts
            case events.Start() | events.Finish():
                pass
            case _:
                self._add_to_tool(event)

    def _add_to_tool(self, event: StreamEvent) -> None:
        tool = self._tools[getattr(event, "tool_call_id")]  # noqa: B009
        if isinstance(event, events.ToolOutputAvailable | events.ToolOutputError):
            assert tool.state == "called"
        else:
            assert tool.state == "streaming"
        match event:
            case events.ToolInputAvailable(input=given):
                tool.input, tool.state = given, "called"
            case events.ToolInputError(input=given, error_text=error):
                tool.input, tool.error, tool.state = given, error, "error"
            case events.ToolOutputAvailable(output=output):
                tool.output, tool.state = output, "done"
            case events.ToolOutputError(error_text=error):
                tool.error, tool.state = error, "error"
            case _:
                assert isinstance(event, events.ToolInputDelta)


@pytest.fixture(scope="module")
def upstream() -> Generator[Upstream]:
    server = Upstream()
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def models(upstream: Upstream) -> AsyncGenerator[ModelRegistry]:
    settings = OpenAISettings(base_url=upstream.base_url, api_key=SecretStr("k"))
    models = ModelRegistry(LiveSettings(Settings(openai=settings)))
    yield models
    await models.close()


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The titles of the cards that the tool has made."""
    made: list[str] = []

    async def make(title: str) -> dict[str, str]:
        made.append(title)
        return {"title": title}

    def tools(_: object) -> list[Tool]:
        return [Tool(make, name=TOOL, max_retries=3)]

    monkeypatch.setattr(engine, "display_tools", tools)
    return made


def finely(log: Sequence[StreamEvent]) -> list[StreamEvent]:
    """The same log with a character or two an entry."""
    fine: list[StreamEvent] = []
    for event in log:
        match event:
            case TextDelta(delta=delta):
                fine += [event.model_copy(update={"delta": bit}) for bit in _bits(delta)]
            case events.ToolInputDelta(input_text_delta=delta):
                fine += [event.model_copy(update={"input_text_delta": bit}) for bit in _bits(delta)]
            case _:
                fine.append(event)
    return fine


def _bits(delta: str) -> list[str]:
    return [delta[at : at + 2] for at in range(0, len(delta), 2)]


async def begin_with(desk: Desk, log: Sequence[StreamEvent]) -> None:
    """The run anew, with the log that a worker left when it died."""
    await desk.redis.execute_command("FLUSHALL")
    await desk.accept()
    takeover = await desk.stream.take_over(RUN)
    entries = [event.encode() for event in log]
    if entries:
        assert await desk.stream.append(Append(RUN, takeover.attempt, 1, entries)) == [False]


@pytest.mark.parametrize("turns", ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_that_was_cut_anywhere_becomes_the_same_message(
    desk: Desk,
    upstream: Upstream,
    models: ModelRegistry,
    cards: list[str],
    turns: list[list[dict[str, Any]]],
) -> None:
    await upstream.script("m", turns)
    runner = desk.runner(models=models)
    await start(runner, tools=[TOOL])
    whole = finely(await desk.log())
    expected, all_cards = ClientMessage(whole).parts, list(cards)

    for cut in range(len(whole)):
        cards.clear()
        await begin_with(desk, whole[:cut])
        await start(runner, tools=[TOOL])

        shown = sum(isinstance(event, events.ToolOutputAvailable) for event in whole[:cut])
        assert ClientMessage(await desk.log()).parts == expected, whole[:cut]
        assert cards == all_cards[shown:], whole[:cut]


async def test_an_answer_that_was_cut_twice_becomes_the_same_message(
    desk: Desk, upstream: Upstream, models: ModelRegistry, cards: list[str]
) -> None:
    await upstream.script("m", [[FIRST, call("one"), call("two")], [call("three")], [SECOND]])
    runner = desk.runner(models=models)
    await start(runner, tools=[TOOL])
    whole = finely(await desk.log())
    expected = ClientMessage(whole).parts
    assert cards == ["one", "two", "three"]

    for first_cut in range(1, len(whole), 4):
        await begin_with(desk, whole[:first_cut])
        await start(runner, tools=[TOOL])
        mended = finely(await desk.log())
        for second_cut in range(first_cut, len(mended), 5):
            await begin_with(desk, mended[:second_cut])
            await start(runner, tools=[TOOL])

            assert ClientMessage(await desk.log()).parts == expected, mended[:second_cut]
