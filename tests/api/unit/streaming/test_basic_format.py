"""Conversion of events to the basic stream format."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.streaming.basic_format import BasicConverter
from shared.runs.finalize import LOST_TEXT, RunEnding
from shared.streams import events
from shared.streams.event_stream import Entry
from shared.streams.events import DONE, Event
from tests.support.fakes.events import (
    CALL,
    OMITTED_IN_BASIC,
    any_event,
    endings,
    entries_of,
)


def converted(*stored_events: Event) -> list[Any]:
    """Return the events that the client receives, without the final `[DONE]`."""
    *received, end = BasicConverter()(entries_of(*stored_events))
    assert end == Entry(1, len(stored_events) + 1, DONE)
    return [json.loads(entry.data) for entry in received]


CONVERTED_CALL = {"type": "tool-call", "toolCallId": "k", "toolName": "f", "args": {"a": None}}
CONVERTED_RESULT = {**CONVERTED_CALL, "type": "tool-result"}


@pytest.mark.parametrize("event", OMITTED_IN_BASIC, ids=lambda event: event.type)
def test_event_without_a_basic_equivalent_is_omitted(event: Event) -> None:
    assert converted(event) == []


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            events.TextDelta(id="t", delta='a\u2028\n"ü'),
            {"type": "text-delta", "textDelta": 'a\u2028\n"ü'},
        ),
        (CALL, CONVERTED_CALL),
        (CALL.model_copy(update={"input": None}), {**CONVERTED_CALL, "args": None}),
        (events.Finish(finish_reason="length"), {"type": "finish", "finishReason": "length"}),
        (events.Finish(), {"type": "finish", "finishReason": "unknown"}),
        (events.Abort(), {"type": "finish", "finishReason": "cancelled"}),
        (
            events.Error(error_text="oh"),
            {"type": "error", "error": "oh", "code": "internal_error"},
        ),
    ],
)
def test_event_is_converted_to_its_basic_equivalent(event: Event, expected: Any) -> None:
    assert converted(event) == [expected]


def test_all_event_types_are_covered() -> None:
    event_types = {
        kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)
    }
    converted_types = {events.TextDelta, type(CALL), events.Finish, events.Abort, events.Error}

    assert event_types - {Event, events.NullableEvent} == converted_types | {
        type(event) for event in OMITTED_IN_BASIC
    }


@pytest.mark.parametrize("output", [{"b": [1.5]}, None, "", False])
def test_tool_result_includes_its_call(output: Any) -> None:
    response = events.ToolOutputAvailable(tool_call_id="k", output=output)

    assert converted(CALL, response) == [CONVERTED_CALL, {**CONVERTED_RESULT, "result": output}]


def test_failed_call_has_its_error_as_the_result() -> None:
    failure = events.ToolOutputError(tool_call_id="k", error_text="boom")

    assert converted(CALL, failure) == [
        CONVERTED_CALL,
        {**CONVERTED_RESULT, "result": "boom", "isError": True},
    ]


def test_reused_call_id_refers_to_the_newest_call() -> None:
    response = events.ToolOutputAvailable(tool_call_id="k", output=1)
    again = CALL.model_copy(update={"tool_name": "g"})

    assert [event["toolName"] for event in converted(CALL, response, again, response)] == list(
        "ffgg"
    )


def test_parallel_calls_keep_their_arguments() -> None:
    other = events.ToolInputAvailable(tool_call_id="l", tool_name="g", input=2)
    responses = [events.ToolOutputAvailable(tool_call_id=call, output=0) for call in "lk"]

    results = converted(CALL, other, *responses)[2:]

    assert [result["args"] for result in results] == [2, {"a": None}]


def test_error_has_code_and_text() -> None:
    assert converted(*RunEnding.lost("req-1").events) == [
        {"type": "error", "error": LOST_TEXT, "code": "lost"}
    ]


def test_unknown_and_invalid_events_are_omitted() -> None:
    entries = [Entry(1, 1, b'{"type":"new-in-8"}'), Entry(1, 2, b'{"type":"text-delta"}')]

    assert BasicConverter()(entries) == []


def test_completed_call_is_forgotten() -> None:
    converter = BasicConverter()
    for _ in range(3):
        converter(entries_of(CALL, events.ToolOutputAvailable(tool_call_id="k", output=1)))

    assert converter._calls == {}  # pyright: ignore[reportPrivateUsage]


def paginate(entries: Sequence[Entry], pages: list[int]) -> list[list[Entry]]:
    """Split the entries into pages of these sizes, and a last page with the rest."""
    remaining, result = list(entries), list[list[Entry]]()
    for size in pages:
        result.append(remaining[:size])
        remaining = remaining[size:]
    return [*result, remaining]


@given(st.lists(any_event, max_size=20), endings, st.lists(st.integers(0, 4), max_size=8))
def test_conversion_is_independent_of_page_boundaries(
    stored_events: list[Event], ending: list[Event], pages: list[int]
) -> None:
    entries, converter = entries_of(*stored_events, *ending), BasicConverter()

    received = [entry for page in paginate(entries, pages) for entry in converter(page)]

    assert received == BasicConverter()(entries)
    kinds = [json.loads(entry.data)["type"] for entry in received[:-1]]
    assert [kind for kind in kinds if kind in ("finish", "error")] == kinds[-1:]
    assert received[-1].is_last
    assert kinds.count("tool-call") >= kinds.count("tool-result")
