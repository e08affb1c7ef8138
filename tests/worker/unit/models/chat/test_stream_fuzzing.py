"""Whatever a server streams, an attempt ends with events or a failure that has a code."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk
from pydantic_ai import Agent, UsageLimits
from pydantic_ai.messages import ModelMessagesTypeAdapter

from shared.streams.events import Event, TextDelta, decode
from shared.streams.transcript import Transcript
from tests.support.fakes.chunks import CHUNK, JSON
from tests.support.models.fake_stream import FakeStream, fake_endpoint
from worker.models.chat.chunk import parse_chunk
from worker.models.run_failures import INTERNAL, failure_of
from worker.output.event_mapper import EventMapper


async def parsed(chunks: Sequence[object]) -> AsyncIterator[ChatCompletionChunk]:
    """Parse chunks as the client does."""
    for chunk in chunks:
        yield parse_chunk(chunk)


async def run_agent(responses: Sequence[Sequence[object]]) -> list[Event]:
    """Run an agent on these streams. The last one repeats."""
    remaining = list(responses)
    events: list[Event] = []
    mapper = EventMapper(Transcript(), events.append)

    async def create(**_: Any) -> FakeStream:
        return FakeStream(parsed(remaining.pop(0) if len(remaining) > 1 else remaining[0]))

    agent = Agent(fake_endpoint(create).chat_model("m"), output_type=[str, type(None)])

    @agent.tool_plain
    def f(a: int = 0) -> int:
        return a

    limits = UsageLimits(request_limit=3)
    async with agent.iter("Hi", usage_limits=limits) as run:
        async for node in run:
            if Agent.is_model_request_node(node):
                mapper.start_step()
                async with node.stream(run.ctx) as stream:
                    async for event in stream:
                        mapper.on_model_event(event)
                mapper.end_response()
            elif Agent.is_call_tools_node(node):
                async with node.stream(run.ctx) as stream:
                    async for event in stream:
                        mapper.on_tool_event(event)
        ModelMessagesTypeAdapter.dump_json(run.all_messages())
    return events


def outcome(responses: Sequence[Sequence[object]]) -> tuple[list[Event], Exception | None]:
    try:
        return asyncio.run(run_agent(responses)), None
    except Exception as error:  # noqa: BLE001  (the tests classify it)
        return [], error


def test_readable_stream_is_shown() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "eos"}]}

    events, error = outcome([[chunk]])

    assert error is None
    assert TextDelta(id="text-1", delta="Hi") in events


@given(st.lists(st.lists(CHUNK | JSON, min_size=1, max_size=4), min_size=1, max_size=2))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_stream_ends_with_events_or_a_code(responses: list[list[object]]) -> None:
    events, error = outcome(responses)

    assert error is None or failure_of(error) != INTERNAL, repr(error)
    for event in events:
        decode(event.encode())


@pytest.mark.parametrize(
    "delta",
    [
        {"tool_calls": [{"index": 0, "id": "\ud83d", "function": {"name": "\ud83d"}}]},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}]},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "{}"}}]},
        {"reasoning_details": [{"text": "\ud83d"}], "reasoning": {"a": {"text": "\x00"}}},
        {"reasoning": "a", "content": "b", "tool_calls": [{"function": {"name": "f"}}]},
    ],
)
def test_odd_delta_ends_with_events_or_a_code(delta: dict[str, Any]) -> None:
    chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]}

    events, error = outcome([[chunk]])

    assert error is None or failure_of(error) != INTERNAL, repr(error)
    for event in events:
        decode(event.encode())
