"""Text that takes the shortcut around the SDK and pydantic-ai, through a whole attempt."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pydantic_ai import Agent, RunContext
from pydantic_ai.capabilities import AbstractCapability, Instrumentation, WrapModelRequestHandler
from pydantic_ai.messages import (
    AgentStreamEvent,
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
)
from pydantic_ai.messages import TextPartDelta as Delta
from pydantic_ai.models import (
    CompletedStreamedResponse,
    Model,
    ModelRequestContext,
    StreamedResponse,
)
from pydantic_ai.models.wrapper import WrapperModel

from mamba.agents import AgentRun
from shared.streams.events import Finish
from tests.support.run_chat_harness import RunChatHarness, start, text_of
from tests.support.upstream.client import Upstream
from tests.support.wait import until
from worker.models.registry import ModelRegistry
from worker.models.stream_timeouts import StreamTimeouts
from worker.models.transport.delta_merger import PlainDelta
from worker.models.transport.text_shortcut import TextShortcut

pytestmark = pytest.mark.usefixtures("no_pauses")

WORDS = [f"word{n} " for n in range(40)]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that took the shortcut."""
    texts: list[str] = []
    original = TextShortcut.pass_delta

    def recorded(self: TextShortcut, delta: PlainDelta) -> Iterator[PlainDelta]:
        text, passed = delta.text, [*original(self, delta)]
        if not passed:
            texts.append(text)
        yield from passed

    monkeypatch.setattr(TextShortcut, "pass_delta", recorded)
    return texts


async def hide_seven(stream: AsyncIterable[AgentStreamEvent]) -> AsyncIterator[AgentStreamEvent]:
    async for event in stream:
        match event:
            case PartStartEvent(part=TextPart(content=text)):
                yield replace(event, part=replace(event.part, content=text.replace("7", "x")))
            case PartDeltaEvent(delta=Delta(content_delta=text)):
                yield replace(event, delta=Delta(content_delta=text.replace("7", "x")))
            case _:
                yield event


@dataclass
class HideSeven(AbstractCapability[AgentRun]):
    """A capability that changes some of the answer's text."""

    async def wrap_run_event_stream(
        self,
        ctx: RunContext[AgentRun],  # noqa: ARG002  (required by the base class)
        *,
        stream: AsyncIterable[AgentStreamEvent],
    ) -> AsyncIterable[AgentStreamEvent]:
        async for event in hide_seven(stream):
            yield event


class HideSevenResponse(CompletedStreamedResponse):
    """A response whose events are those of another one, without the digit 7."""

    def __init__(self, response: StreamedResponse) -> None:
        super().__init__(
            ModelResponse(parts=[]), model_request_parameters=response.model_request_parameters
        )
        self.wrapped = response

    def get(self) -> ModelResponse:
        return self.wrapped.get()

    def __aiter__(self) -> AsyncIterator[ModelResponseStreamEvent]:
        return hide_seven(self.wrapped)  # pyright: ignore[reportReturnType]


class HideSevenModel(WrapperModel):
    @asynccontextmanager
    async def request_stream(self, *args: Any, **options: Any) -> AsyncGenerator[StreamedResponse]:
        async with super().request_stream(*args, **options) as response:
            yield HideSevenResponse(response)


@dataclass
class WrapModel(AbstractCapability[AgentRun]):
    def get_wrapper_model(self, model: Model) -> Model | None:
        return HideSevenModel(model)


@dataclass
class BlockAnswer(AbstractCapability[AgentRun]):
    """A capability that replaces the answer when it is due."""

    is_due: Callable[[], Awaitable[bool]]

    async def wrap_model_request(
        self,
        ctx: RunContext[AgentRun],  # noqa: ARG002  (required by the base class)
        *,
        request_context: ModelRequestContext,
        handler: WrapModelRequestHandler,
    ) -> ModelResponse:
        request = asyncio.ensure_future(handler(request_context))
        await until(self.is_due)
        request.cancel()
        return ModelResponse(parts=[TextPart("Blocked.")])


@pytest.mark.parametrize("capabilities", [[], [Instrumentation()]])
async def test_most_text_takes_the_shortcut(
    harness: RunChatHarness,
    upstream: Upstream,
    models: ModelRegistry,
    taken: list[str],
    capabilities: list[AbstractCapability[AgentRun]],
) -> None:
    harness.agent = Agent(deps_type=AgentRun, capabilities=capabilities)
    await upstream.script("m", [[{"text": WORDS, "delay": 0.01}]])

    await start(harness.runner(models=models))

    log = await harness.log()
    assert text_of(log) == "".join(WORDS)
    assert log[-1] == Finish(finish_reason="stop")
    assert len("".join(taken)) > len("".join(WORDS)) / 2


@pytest.mark.parametrize("capability", [HideSeven(), WrapModel()])
async def test_capability_that_changes_text_disables_the_shortcut(
    harness: RunChatHarness,
    upstream: Upstream,
    models: ModelRegistry,
    taken: list[str],
    capability: AbstractCapability[AgentRun],
) -> None:
    harness.agent = Agent(deps_type=AgentRun, capabilities=[capability])
    await upstream.script("m", [[{"text": WORDS, "delay": 0.01}]])

    await start(harness.runner(models=models))

    assert text_of(await harness.log()) == "".join(WORDS).replace("7", "x")
    assert not taken


async def test_capability_that_replaces_text_disables_the_shortcut(
    harness: RunChatHarness, upstream: Upstream, models: ModelRegistry, taken: list[str]
) -> None:
    async def is_due() -> bool:
        return WORDS[9] in await harness.text_so_far()

    harness.agent = Agent(deps_type=AgentRun, capabilities=[BlockAnswer(is_due)])
    await upstream.script("m", [[{"text": WORDS, "delay": 0.1}]])

    await start(harness.runner(models=models))

    log = await harness.log()
    shown = text_of(log)
    assert "".join(WORDS).startswith(shown.removesuffix("Blocked."))
    assert shown.endswith("Blocked.")
    assert log[-1] == Finish(finish_reason="stop")
    assert not taken


async def test_shortcut_text_restarts_the_silence_timeout(
    harness: RunChatHarness, upstream: Upstream, models: ModelRegistry, taken: list[str]
) -> None:
    harness.timeouts = StreamTimeouts(first_token=60, silence=3)
    await upstream.script("m", [[{"text": ["ab "] * 12, "delay": 0.4}]])

    await start(harness.runner(models=models))

    assert text_of(await harness.log()) == "ab " * 12
    assert len(await upstream.requests("m")) == 1
    assert len(taken) > 8
