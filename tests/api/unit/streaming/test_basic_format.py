"""The basic wire: what it makes of each event, and that no cut changes it."""

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


def log_of(*said: Event) -> list[Entry]:
    data = [*(event.encode() for event in said), DONE]
    return [Entry(1, offset, event) for offset, event in enumerate(data, 1)]


def seen(*said: Event) -> list[Any]:
    """What a client of this wire gets, without the `[DONE]` at its end."""
    *shown, end = BasicConverter()(log_of(*said))
    assert end == Entry(1, len(said) + 1, DONE)
    return [json.loads(entry.data) for entry in shown]


CALL = events.ToolInputAvailable(tool_call_id="k", tool_name="f", input={"a": None})
CALLED = {"type": "tool-call", "toolCallId": "k", "toolName": "f", "args": {"a": None}}
RESULT = {**CALLED, "type": "tool-result"}

NOTHING: list[Event] = [
    events.Start(message_id="m"),
    events.StartStep(),
    events.FinishStep(),
    events.TextStart(id="t"),
    events.TextEnd(id="t"),
    events.ReasoningStart(id="r"),
    events.ReasoningDelta(id="r", delta="hm"),
    events.ReasoningEnd(id="r"),
    events.ToolInputStart(tool_call_id="k", tool_name="f"),
    events.ToolInputDelta(tool_call_id="k", input_text_delta="{"),
    events.ToolInputError(tool_call_id="k", tool_name="f", input="{", error_text="bad"),
    events.ToolOutputAvailable(tool_call_id="another run's", output=1),
    events.ToolOutputError(tool_call_id="another run's", error_text="bad"),
    events.ToolApprovalRequest(approval_id="a", tool_call_id="k"),
    events.ToolOutputDenied(tool_call_id="another run's"),
    events.SourceUrl(source_id="s", url="https://a.example"),
    events.SourceDocument(source_id="s", media_type="text/plain", title="t"),
    events.File(url="data:,", media_type="text/plain"),
    events.Data(type="data-x", data={"code": "x"}),
    events.Data(type="data-error", data=None),
    events.MessageMetadata(message_metadata={"a": 1}),
]


@pytest.mark.parametrize("event", NOTHING, ids=lambda event: event.type)
def test_what_this_wire_does_not_have_is_left_out(event: Event) -> None:
    assert seen(event) == []


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            events.TextDelta(id="t", delta='a\u2028\n"ü'),
            {"type": "text-delta", "textDelta": 'a\u2028\n"ü'},
        ),
        (CALL, CALLED),
        (CALL.model_copy(update={"input": None}), {**CALLED, "args": None}),
        (events.Finish(finish_reason="length"), {"type": "finish", "finishReason": "length"}),
        (events.Finish(), {"type": "finish", "finishReason": "unknown"}),
        (events.Abort(), {"type": "finish", "finishReason": "cancelled"}),
        (
            events.Error(error_text="oh"),
            {"type": "error", "error": "oh", "code": "internal_error"},
        ),
    ],
)
def test_an_event_is_said_in_the_words_of_this_wire(event: Event, expected: Any) -> None:
    assert seen(event) == [expected]


def test_every_event_there_is_has_been_thought_of() -> None:
    kinds = {
        kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)
    }
    shown = {events.TextDelta, type(CALL), events.Finish, events.Abort, events.Error}

    assert kinds - {Event, events.Nullable} == shown | {type(event) for event in NOTHING}


@pytest.mark.parametrize("output", [{"b": [1.5]}, None, "", False])
def test_a_result_names_its_call(output: Any) -> None:
    answer = events.ToolOutputAvailable(tool_call_id="k", output=output)

    assert seen(CALL, answer) == [CALLED, {**RESULT, "result": output}]


def test_a_failed_call_has_its_error_as_the_result() -> None:
    failure = events.ToolOutputError(tool_call_id="k", error_text="boom")

    assert seen(CALL, failure) == [CALLED, {**RESULT, "result": "boom", "isError": True}]


def test_an_id_that_is_used_again_means_the_newer_call() -> None:
    answer = events.ToolOutputAvailable(tool_call_id="k", output=1)
    again = CALL.model_copy(update={"tool_name": "g"})

    assert [event["toolName"] for event in seen(CALL, answer, again, answer)] == list("ffgg")


def test_calls_at_once_keep_their_own_arguments() -> None:
    other = events.ToolInputAvailable(tool_call_id="l", tool_name="g", input=2)
    answers = [events.ToolOutputAvailable(tool_call_id=call, output=0) for call in "lk"]

    results = seen(CALL, other, *answers)[2:]

    assert [result["args"] for result in results] == [2, {"a": None}]


def test_an_error_has_the_code_and_the_text() -> None:
    assert seen(*RunEnding.lost("req-1").events) == [
        {"type": "error", "error": LOST_TEXT, "code": "lost"}
    ]


def test_what_a_newer_worker_says_is_left_out() -> None:
    entries = [Entry(1, 1, b'{"type":"new-in-8"}'), Entry(1, 2, b'{"type":"text-delta"}')]

    assert BasicConverter()(entries) == []


def test_an_answered_call_is_not_held_any_more() -> None:
    view = BasicConverter()
    for _ in range(3):
        view(log_of(CALL, events.ToolOutputAvailable(tool_call_id="k", output=1)))

    assert view._calls == {}  # pyright: ignore[reportPrivateUsage]


names = st.sampled_from(["k", "l"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
any_event = st.one_of(
    st.sampled_from(NOTHING),
    st.builds(events.TextDelta, id=names, delta=st.text(max_size=3)),
    st.builds(events.ToolInputAvailable, tool_call_id=names, tool_name=names, input=json_values),
    st.builds(events.ToolOutputAvailable, tool_call_id=names, output=json_values),
    st.builds(events.ToolOutputError, tool_call_id=names, error_text=st.text(max_size=3)),
)
endings = st.sampled_from(
    [[events.Finish(finish_reason="stop")], [events.Abort()], RunEnding.lost("req-1").events]
)


def cut(entries: Sequence[Entry], pages: list[int]) -> list[list[Entry]]:
    """The entries as they come: in pages of these lengths, then the rest."""
    held, cuts = list(entries), list[list[Entry]]()
    for size in pages:
        cuts.append(held[:size])
        held = held[size:]
    return [*cuts, held]


@given(st.lists(any_event, max_size=20), endings, st.lists(st.integers(0, 4), max_size=8))
def test_however_a_log_comes_it_is_the_same_on_this_wire(
    said: list[Event], ending: list[Event], pages: list[int]
) -> None:
    log, view = log_of(*said, *ending), BasicConverter()

    shown = [entry for page in cut(log, pages) for entry in view(page)]

    assert shown == BasicConverter()(log)
    kinds = [json.loads(entry.data)["type"] for entry in shown[:-1]]
    assert [kind for kind in kinds if kind in ("finish", "error")] == kinds[-1:]
    assert shown[-1].ends
    assert kinds.count("tool-call") >= kinds.count("tool-result")
