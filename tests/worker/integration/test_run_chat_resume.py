"""Chat runs that resume an interrupted answer produce the same client message."""

from collections.abc import (
    AsyncGenerator,
    Sequence,
)
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic_ai import Tool

from shared.settings import OpenAISettings, Settings
from shared.settings.live_settings import LiveSettings
from shared.streams import events
from shared.streams.events import (
    StreamEvent,
    TextDelta,
)
from tests.support.run_chat_harness import RunChatHarness, restart_with_log, start
from tests.support.upstream.client import Upstream
from worker.agents import engine
from worker.models.registry import ModelRegistry

pytestmark = pytest.mark.usefixtures("no_pauses")


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
class ClientToolPart:
    """A tool part of a client message."""

    name: str
    id: str
    input: Any = None
    output: Any = None
    error: str | None = None
    state: str = "streaming"


class ClientMessage:
    """The message that an AI SDK client builds from the events."""

    def __init__(self, log: Sequence[StreamEvent]) -> None:
        self.parts: list[Any] = []
        self._texts: dict[str, list[str]] = {}
        self._tools: dict[str, ClientToolPart] = {}
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
                tool = ClientToolPart(event.tool_name, event.tool_call_id)
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


@pytest.fixture
async def models(upstream: Upstream) -> AsyncGenerator[ModelRegistry]:
    settings = OpenAISettings(base_url=upstream.base_url, api_key=SecretStr("k"))
    models = ModelRegistry(LiveSettings(Settings(openai=settings)))
    yield models
    await models.close()


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Titles of the cards that the tool created."""
    made: list[str] = []

    async def make(title: str) -> dict[str, str]:
        made.append(title)
        return {"title": title}

    def tools(_: object) -> list[Tool]:
        return [Tool(make, name=TOOL, max_retries=3)]

    monkeypatch.setattr(engine, "display_tools", tools)
    return made


def in_small_deltas(log: Sequence[StreamEvent]) -> list[StreamEvent]:
    """Return the same events with at most two characters in a delta."""
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
    return [delta[at : at + 4] for at in range(0, len(delta), 4)]


@pytest.mark.parametrize("responses", ANSWERS.values(), ids=ANSWERS.keys())
async def test_answer_cut_anywhere_resumes_to_the_same_message(
    harness: RunChatHarness,
    upstream: Upstream,
    models: ModelRegistry,
    cards: list[str],
    responses: list[list[dict[str, Any]]],
) -> None:
    await upstream.script("m", responses)
    runner = harness.runner(models=models)
    await start(runner, tools=[TOOL])
    whole = in_small_deltas(await harness.log())
    expected, all_cards = ClientMessage(whole).parts, list(cards)

    for cut in range(len(whole)):
        cards.clear()
        await restart_with_log(harness, whole[:cut])
        await start(runner, tools=[TOOL])

        shown = sum(isinstance(event, events.ToolOutputAvailable) for event in whole[:cut])
        assert ClientMessage(await harness.log()).parts == expected, whole[:cut]
        assert cards == all_cards[shown:], whole[:cut]


async def test_answer_cut_twice_resumes_to_the_same_message(
    harness: RunChatHarness, upstream: Upstream, models: ModelRegistry, cards: list[str]
) -> None:
    await upstream.script("m", [[FIRST, call("one"), call("two")], [call("three")], [SECOND]])
    runner = harness.runner(models=models)
    await start(runner, tools=[TOOL])
    whole = in_small_deltas(await harness.log())
    expected = ClientMessage(whole).parts
    assert cards == ["one", "two", "three"]

    for first_cut in range(1, len(whole), 3):
        await restart_with_log(harness, whole[:first_cut])
        await start(runner, tools=[TOOL])
        resumed = in_small_deltas(await harness.log())
        for second_cut in range(first_cut, len(resumed), 4):
            await restart_with_log(harness, resumed[:second_cut])
            await start(runner, tools=[TOOL])

            assert ClientMessage(await harness.log()).parts == expected, resumed[:second_cut]
