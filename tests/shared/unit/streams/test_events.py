import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.streams import events
from shared.streams.events import (
    Abort,
    Data,
    Error,
    Event,
    File,
    Finish,
    FinishReason,
    FinishStep,
    MessageMetadata,
    NullableEvent,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    SourceDocument,
    SourceUrl,
    Start,
    StartStep,
    StreamEvent,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
    decode,
    merge_deltas,
)

#: Each event with every key set, and the JSON that stands for it.
ENCODED_EVENTS: list[tuple[StreamEvent, dict[str, Any]]] = [
    (Start(message_id="m"), {"type": "start", "messageId": "m"}),
    (StartStep(), {"type": "start-step"}),
    (FinishStep(), {"type": "finish-step"}),
    (TextStart(id="1"), {"type": "text-start", "id": "1"}),
    (TextDelta(id="1", delta="Hi"), {"type": "text-delta", "id": "1", "delta": "Hi"}),
    (TextEnd(id="1"), {"type": "text-end", "id": "1"}),
    (ReasoningStart(id="1"), {"type": "reasoning-start", "id": "1"}),
    (ReasoningDelta(id="1", delta="Hm"), {"type": "reasoning-delta", "id": "1", "delta": "Hm"}),
    (ReasoningEnd(id="1"), {"type": "reasoning-end", "id": "1"}),
    (
        ToolInputStart(tool_call_id="c", tool_name="t"),
        {"type": "tool-input-start", "toolCallId": "c", "toolName": "t"},
    ),
    (
        ToolInputDelta(tool_call_id="c", input_text_delta="{"),
        {"type": "tool-input-delta", "toolCallId": "c", "inputTextDelta": "{"},
    ),
    (
        ToolInputAvailable(tool_call_id="c", tool_name="t", input={"snake_key": 1}),
        {
            "type": "tool-input-available",
            "toolCallId": "c",
            "toolName": "t",
            "input": {"snake_key": 1},
        },
    ),
    (
        ToolInputError(tool_call_id="c", tool_name="t", input="{", error_text="no"),
        {
            "type": "tool-input-error",
            "toolCallId": "c",
            "toolName": "t",
            "input": "{",
            "errorText": "no",
        },
    ),
    (
        ToolOutputAvailable(tool_call_id="c", output=[1]),
        {"type": "tool-output-available", "toolCallId": "c", "output": [1]},
    ),
    (
        ToolOutputError(tool_call_id="c", error_text="no"),
        {"type": "tool-output-error", "toolCallId": "c", "errorText": "no"},
    ),
    (
        ToolApprovalRequest(approval_id="a", tool_call_id="c"),
        {"type": "tool-approval-request", "approvalId": "a", "toolCallId": "c"},
    ),
    (
        ToolOutputDenied(tool_call_id="c"),
        {"type": "tool-output-denied", "toolCallId": "c"},
    ),
    (
        SourceUrl(source_id="s", url="https://a.b", title="A"),
        {"type": "source-url", "sourceId": "s", "url": "https://a.b", "title": "A"},
    ),
    (
        SourceDocument(source_id="s", media_type="a/b", title="A", filename="a.b"),
        {
            "type": "source-document",
            "sourceId": "s",
            "mediaType": "a/b",
            "title": "A",
            "filename": "a.b",
        },
    ),
    (File(url="data:,", media_type="a/b"), {"type": "file", "url": "data:,", "mediaType": "a/b"}),
    (
        Data(type="data-note", data={"a": None}, id="1", transient=True),
        {"type": "data-note", "data": {"a": None}, "id": "1", "transient": True},
    ),
    (
        MessageMetadata(message_metadata={"a": None}),
        {"type": "message-metadata", "messageMetadata": {"a": None}},
    ),
    (Error(error_text="no"), {"type": "error", "errorText": "no"}),
    (Abort(), {"type": "abort"}),
    (Finish(finish_reason="stop"), {"type": "finish", "finishReason": "stop"}),
]


def name_of(value: object) -> str:
    return type(value).__name__ if isinstance(value, Event) else ""


@pytest.mark.parametrize(("event", "encoded"), ENCODED_EVENTS, ids=name_of)
def test_event_encodes_to_its_json(event: StreamEvent, encoded: dict[str, Any]) -> None:
    assert json.loads(event.encode()) == encoded
    assert decode(event.encode()) == event


def test_every_event_class_has_a_case() -> None:
    kinds = {
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind.__name__[0] != "_"
    }
    assert kinds - {Event, NullableEvent} == {type(event) for event, _ in ENCODED_EVENTS}


@pytest.mark.parametrize(
    ("event", "encoded"),
    [
        (SourceUrl(source_id="s", url="u"), {"type": "source-url", "sourceId": "s", "url": "u"}),
        (
            SourceDocument(source_id="s", media_type="m", title="t"),
            {"type": "source-document", "sourceId": "s", "mediaType": "m", "title": "t"},
        ),
        (Data(type="data-x", data=1), {"type": "data-x", "data": 1}),
        (Finish(), {"type": "finish"}),
    ],
)
def test_unset_optional_keys_are_omitted(event: StreamEvent, encoded: dict[str, Any]) -> None:
    assert json.loads(event.encode()) == encoded


@pytest.mark.parametrize(
    ("event", "key"),
    [
        (ToolInputAvailable(tool_call_id="c", tool_name="t", input=None), "input"),
        (ToolInputError(tool_call_id="c", tool_name="t", input=None, error_text="e"), "input"),
        (ToolOutputAvailable(tool_call_id="c", output=None), "output"),
        (Data(type="data-x", data=None), "data"),
    ],
)
def test_required_keys_are_kept_as_null(event: StreamEvent, key: str) -> None:
    assert json.loads(event.encode())[key] is None
    assert decode(event.encode()) == event


def test_nan_and_infinity_become_null() -> None:
    event = ToolOutputAvailable(tool_call_id="c", output=[float("nan"), float("inf"), 1.5])

    assert json.loads(event.encode())["output"] == [None, None, 1.5]


@pytest.mark.parametrize("text", ["\n", "\r\n", "\u2028", "data: x\n\nid: 1\n"])
def test_encoded_events_contain_no_line_breaks(text: str) -> None:
    data = TextDelta(id="1", delta=text).encode()

    assert b"\n" not in data
    assert b"\r" not in data
    assert decode(data) == TextDelta(id="1", delta=text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[DONE]",
        b"{}",
        b"[]",
        b'{"type": "unknown"}',
        b'{"type": "text-delta", "id": "1"}',
        b'{"type": null}',
    ],
)
def test_decode_rejects_unknown_events(data: bytes) -> None:
    with pytest.raises(ValidationError):
        decode(data)


# Every event there can be

reasons: list[FinishReason] = ["stop", "length", "content-filter", "tool-calls", "error", "other"]


def built(
    kind: Callable[..., StreamEvent], **fields: st.SearchStrategy[Any]
) -> st.SearchStrategy[StreamEvent]:
    return st.fixed_dictionaries(fields).map(lambda found: kind(**found))


def any_json(text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        st.none() | st.booleans() | numbers | text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
        max_leaves=8,
    )


def any_event(text: st.SearchStrategy[str]) -> st.SearchStrategy[StreamEvent]:
    json_value, maybe_text = any_json(text), st.none() | text
    call = {"tool_call_id": text}
    return st.one_of(
        st.sampled_from([StartStep(), FinishStep(), Abort()]),
        built(Start, message_id=text),
        built(TextStart, id=text),
        built(TextDelta, id=text, delta=text),
        built(TextEnd, id=text),
        built(ReasoningStart, id=text),
        built(ReasoningDelta, id=text, delta=text),
        built(ReasoningEnd, id=text),
        built(ToolInputStart, **call, tool_name=text),
        built(ToolInputDelta, **call, input_text_delta=text),
        built(ToolInputAvailable, **call, tool_name=text, input=json_value),
        built(ToolInputError, **call, tool_name=text, input=json_value, error_text=text),
        built(ToolOutputAvailable, **call, output=json_value),
        built(ToolOutputError, **call, error_text=text),
        built(ToolApprovalRequest, **call, approval_id=text),
        built(ToolOutputDenied, **call),
        built(SourceUrl, source_id=text, url=text, title=maybe_text),
        built(SourceDocument, source_id=text, media_type=text, title=text, filename=maybe_text),
        built(File, url=text, media_type=text),
        built(
            Data,
            type=st.from_regex(r"data-[a-z0-9-]+", fullmatch=True),
            data=json_value,
            id=maybe_text,
            transient=st.none() | st.booleans(),
        ),
        built(MessageMetadata, message_metadata=st.dictionaries(text, json_value, max_size=3)),
        built(Error, error_text=text),
        built(Finish, finish_reason=st.none() | st.sampled_from(reasons)),
    )


@given(any_event(st.text()))
def test_decode_inverts_encode(event: StreamEvent) -> None:
    data = event.encode()

    assert b"\n" not in data
    assert decode(data) == event
    assert decode(data).encode() == data


@given(any_event(st.text()))
def test_encoded_events_have_only_their_keys(event: StreamEvent) -> None:
    encoded = json.loads(event.encode())
    fields = {field.alias or name: name for name, field in type(event).model_fields.items()}

    assert set(encoded) <= set(fields)
    assert all("_" not in key for key in encoded)
    nulls = {key for key, value in encoded.items() if value is None}
    assert nulls <= {"input", "output", "data"}


# Half a character


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("\ud83d", "\ufffd"),
        ("a\ud83db", "a\ufffdb"),
        ("\ude00 ", "\ufffd "),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
        ('\ufeff"\\\n\ud83d', '\ufeff"\\\n\ufffd'),
    ],
)
def test_lone_surrogates_become_replacement_characters(text: str, sent: str) -> None:
    data = TextDelta(id="1", delta=text).encode()

    assert decode(data) == TextDelta(id="1", delta=sent)
    assert b"\n" not in data


def test_lone_surrogates_are_replaced_in_nested_values() -> None:
    broken = {"\ud83d": ["a", ("\ud83d",), {"b": "\ude00", "c": None, "d": float("nan")}]}
    event = ToolInputAvailable(tool_call_id="c", tool_name="t", input=broken)

    assert json.loads(event.encode()) == {
        "type": "tool-input-available",
        "toolCallId": "c",
        "toolName": "t",
        "input": {"\ufffd": ["a", ["\ufffd"], {"b": "\ufffd", "c": None, "d": None}]},
    }


def test_merged_deltas_reunite_surrogate_pairs() -> None:
    both = merge_deltas(TextDelta(id="1", delta="\ud83d"), TextDelta(id="1", delta="\ude00"))

    assert both is not None
    assert decode(both.encode()) == TextDelta(id="1", delta="\U0001f600")


@given(any_event(st.text(st.characters(codec=None, categories=["Cs", "L", "Cc"]))))
def test_any_event_can_be_encoded(event: StreamEvent) -> None:
    data = event.encode()

    assert decode(data).type == json.loads(data)["type"]
    assert b"\n" not in data


# Joining


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (
            TextDelta(id="1", delta="a"),
            TextDelta(id="1", delta="b"),
            TextDelta(id="1", delta="ab"),
        ),
        (
            ReasoningDelta(id="1", delta="a"),
            ReasoningDelta(id="1", delta="b"),
            ReasoningDelta(id="1", delta="ab"),
        ),
        (
            ToolInputDelta(tool_call_id="1", input_text_delta="a"),
            ToolInputDelta(tool_call_id="1", input_text_delta="b"),
            ToolInputDelta(tool_call_id="1", input_text_delta="ab"),
        ),
    ],
)
def test_deltas_of_one_part_are_merged(
    first: StreamEvent, second: StreamEvent, both: StreamEvent
) -> None:
    assert merge_deltas(first, second) == both


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (TextDelta(id="1", delta="a"), TextDelta(id="2", delta="b")),
        (TextDelta(id="1", delta="a"), ReasoningDelta(id="1", delta="b")),
        (ReasoningDelta(id="1", delta="a"), TextDelta(id="1", delta="b")),
        (ReasoningDelta(id="1", delta="a"), ReasoningDelta(id="2", delta="b")),
        (
            ToolInputDelta(tool_call_id="1", input_text_delta="a"),
            ToolInputDelta(tool_call_id="2", input_text_delta="b"),
        ),
        (TextStart(id="1"), TextDelta(id="1", delta="a")),
        (TextDelta(id="1", delta="a"), TextEnd(id="1")),
        (StartStep(), StartStep()),
        (Data(type="data-x", data=1), Data(type="data-x", data=1)),
        (Error(error_text="a"), Error(error_text="a")),
    ],
)
def test_other_events_are_not_merged(first: StreamEvent, second: StreamEvent) -> None:
    assert merge_deltas(first, second) is None


def any_delta() -> st.SearchStrategy[StreamEvent]:
    part_id = st.sampled_from("12")
    return st.one_of(
        built(TextDelta, id=part_id, delta=st.text()),
        built(ReasoningDelta, id=part_id, delta=st.text()),
        built(ToolInputDelta, tool_call_id=part_id, input_text_delta=st.text()),
    )


@given(any_delta(), any_delta())
def test_merging_keeps_the_whole_text(first: StreamEvent, second: StreamEvent) -> None:
    both = merge_deltas(first, second)

    if both is not None:
        assert words(both) == words(first) + words(second)


def words(event: StreamEvent) -> str:
    match event:
        case TextDelta() | ReasoningDelta():
            return event.delta
        case ToolInputDelta():
            return event.input_text_delta
        case _:
            raise AssertionError(event)
