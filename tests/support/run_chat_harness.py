"""A chat runner on real Redis with scripted models, and one accepted run."""

import asyncio
from collections.abc import (
    AsyncIterator,
    Sequence,
)
from dataclasses import dataclass, field
from typing import Any

from pydantic_ai import Agent, exceptions
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, DeltaToolCalls, FunctionModel

from shared.chat.messages import Message, TextPart
from shared.limits.usage_ledger import UsageLedger
from shared.queue.job import RunChat
from shared.redis.client import Redis
from shared.runs.chat_index import ChatIndex
from shared.runs.ended_runs import EndedRuns
from shared.runs.finalize import RunFinalizer
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.settings import LimitSettings, OpenAISettings, RunSettings, Settings
from shared.settings.live_settings import LiveSettings
from shared.streams.event_stream import Append, RedisEventStream, read_all
from shared.streams.events import Data as DataEvent
from shared.streams.events import (
    Event,
    StreamEvent,
    TextDelta,
    decode,
)
from shared.streams.ui_message import UIMessageBuilder
from tests.support.answer_metadata import without_metadata
from tests.support.wait import until
from worker.agents.budget import Budgets
from worker.agents.builtin.chat import chat
from worker.agents.definition import AgentDefinition, AnyAgent
from worker.agents.engine import AgentEngine
from worker.jobs.attempt import RunServices
from worker.jobs.attempt_runner import AttemptRunner
from worker.jobs.retry_policy import RetryPolicy
from worker.jobs.run_chat import ChatRunner
from worker.jobs.running_runs import RunningRuns
from worker.models.registry import ModelRegistry
from worker.models.stream_timeouts import StreamTimeouts
from worker.output.writer import GroupCommitter

RUN = "run"
RATE_LIMIT = exceptions.ModelRateLimitError("m", "slow down: secret")
REJECTED = exceptions.ModelRequestRejectedError("m", "bad: secret")

Piece = str | DeltaToolCalls | Exception | asyncio.Event


class ScriptedModels(ModelRegistry):
    """One model with scripted responses. The last response repeats."""

    def __init__(self, *responses: Sequence[Piece]) -> None:
        super().__init__(LiveSettings(Settings(openai=OpenAISettings(demo=True))))
        self.responses = list(responses)
        self.requests: list[list[ModelMessage]] = []
        self.requested = asyncio.Event()
        self._model = FunctionModel(stream_function=self._stream)

    def get(self, name: str) -> Model:  # noqa: ARG002
        return self._model

    async def _stream(
        self,
        messages: list[ModelMessage],
        info: AgentInfo,  # noqa: ARG002
    ) -> AsyncIterator[str | DeltaToolCalls]:
        response = self.responses[min(len(self.requests), len(self.responses) - 1)]
        self.requests.append(messages)
        self.requested.set()
        for piece in response:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            else:
                yield piece


@dataclass
class RunChatHarness:
    """A chat runner with its services, and one accepted run."""

    redis: Redis
    stream: RedisEventStream
    committer: GroupCommitter
    runs: RunStore
    running: RunningRuns = field(default_factory=RunningRuns)
    settings: RunSettings = field(default_factory=RunSettings)
    timeouts: StreamTimeouts = field(
        default_factory=lambda: StreamTimeouts(first_token=60, silence=60)
    )
    definition: AgentDefinition = chat
    agent: AnyAgent = field(default_factory=lambda: Agent(name="chat"))
    #: Budgets, which apply to jobs that name their owner.
    limits: LimitSettings = field(default_factory=LimitSettings)

    def runner(
        self, *responses: Sequence[Piece], models: ModelRegistry | None = None
    ) -> ChatRunner:
        services = RunServices(
            self.runs,
            ChatIndex(self.redis),
            self.stream,
            self.committer,
            self.finalizer,
            budgets=Budgets(self.ledger, LiveSettings(Settings(limits=self.limits))),
        )
        retries = RetryPolicy(lambda _: self.settings.max_retries)
        attempts = AttemptRunner(services, lambda: self.settings, retries)
        agents = {self.definition.name: self.engine_for(models or ScriptedModels(*responses))}
        return ChatRunner(services, attempts, self.running, agents, lambda: self.settings)

    @property
    def ledger(self) -> UsageLedger:
        return UsageLedger(self.redis, live_ttl=600)

    @property
    def finalizer(self) -> RunFinalizer:
        return RunFinalizer(self.stream, EndedRuns(self.redis, retention=60))

    def engine_for(self, models: ModelRegistry) -> AgentEngine:
        return AgentEngine(
            self.definition,
            self.agent,
            models,
            max_steps=lambda: self.settings.max_steps,
            timeouts=lambda _: self.timeouts,
            max_file_bytes=lambda: LimitSettings().file_bytes,
        )

    async def run(self, *responses: Sequence[Piece]) -> None:
        await start(self.runner(*responses))

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
        """Return the events of an ended stream after checking that it is complete."""
        entries = await read_all(self.stream, RUN)
        assert [entry.offset for entry in entries] == list(range(1, len(entries) + 1))
        assert [entry.is_last for entry in entries].count(True) == 1
        assert entries[-1].is_last
        return without_metadata(decode(entry.data) for entry in entries[:-1])

    async def metadata(self) -> dict[str, Any]:
        """Return Mamba's metadata of the message, as clients merge it."""
        builder = UIMessageBuilder("msg")
        builder.add(await read_all(self.stream, RUN))
        return builder.build()["metadata"]["mamba"]

    async def text_so_far(self) -> str:
        entries = await read_all(self.stream, RUN)
        return text_of([decode(entry.data) for entry in entries if not entry.is_last])

    async def wait_for_text(self, text: str) -> None:
        async def probe() -> bool:
            return await self.text_so_far() == text

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


def text_of(log: Sequence[StreamEvent]) -> str:
    return "".join(event.delta for event in log if isinstance(event, TextDelta))


def kinds(log: Sequence[Event]) -> list[str]:
    return [str(getattr(event, "type", "")) for event in log]


def error_code(log: Sequence[StreamEvent]) -> str:
    [detail] = [event for event in log if isinstance(event, DataEvent)]
    assert detail.type == "data-error"
    assert detail.transient
    return detail.data["code"]


async def restart_with_log(harness: RunChatHarness, log: Sequence[StreamEvent]) -> None:
    """Recreate the run with the events that a crashed worker left."""
    await harness.redis.execute_command("FLUSHALL")
    await harness.accept()
    takeover = await harness.stream.take_over(RUN)
    entries = [event.encode() for event in log]
    if entries:
        assert await harness.stream.append(Append(RUN, takeover.attempt, 1, entries)) == [False]
