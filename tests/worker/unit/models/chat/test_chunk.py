"""Chunks of any shape are corrected or rejected."""

from typing import Any

import pytest
from hypothesis import given
from openai.types.chat import ChatCompletionChunk

from tests.support.fakes.chunks import CHUNK, JSON
from worker.models.chat.chunk import parse_chunk
from worker.models.transport.unusable_response import UnusableResponse


def choice(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {}, **fields}]}


def delta(**fields: Any) -> Any:
    return parse_chunk(choice(delta=fields)).choices[0].delta


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("eos", "stop"),
        ("something", "stop"),
        ("", None),
        (None, None),
        (["stop"], None),
        ("max_tokens", "length"),
        ("function_call", "tool_calls"),
        ("tool_use", "tool_calls"),
        ("SAFETY", "content_filter"),
        ("content_filter: PROHIBITED_CONTENT", "content_filter"),
        ("model_context_window_exceeded", "length"),
    ],
)
def test_finish_reason_has_the_spelling_of_openai(sent: object, reason: str | None) -> None:
    finish_reason = parse_chunk(choice(finish_reason=sent)).choices[0].finish_reason

    assert finish_reason == reason or (sent, finish_reason) == ("function_call", "function_call")


@pytest.mark.parametrize("count", [-1, 10**30])
@pytest.mark.parametrize("field", ["prompt_tokens", "completion_tokens", "total_tokens"])
def test_implausible_count_is_left_out(field: str, count: int) -> None:
    counts = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 1}
    details = {"prompt_tokens_details": {"cached_tokens": count, "audio_tokens": 0}}
    chunk: dict[str, Any] = {
        "id": "",
        "created": 1,
        "model": "m",
        "object": "chat.completion.chunk",
        "choices": [],
    }

    usage = parse_chunk({**chunk, "usage": {**counts, field: count, **details}}).usage
    assert usage is not None
    assert usage.model_dump(include={*counts}) == {**counts, field: 0}
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens is None


@pytest.mark.parametrize(
    "reason",
    [
        "error",
        "insufficient_system_resource",
        "network_error",
        "abort",
        "MALFORMED_FUNCTION_CALL",
        "function_call_filter: MALFORMED_FUNCTION_CALL",
    ],
)
def test_answer_that_broke_off_is_an_error(reason: str) -> None:
    with pytest.raises(UnusableResponse) as raised:
        parse_chunk(choice(finish_reason=reason))

    assert raised.value.upstream.received == (
        f"The server ended the answer with the finish reason `{reason.lower().partition(':')[0]}`."
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a", "a"),
        (None, None),
        (5, "5"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        (["a", {"text": "b"}, {"type": "image_url"}, 5], "ab"),
        ([], None),
    ],
)
def test_content_may_be_parts(content: object, text: str | None) -> None:
    assert delta(content=content).content == text


def test_reasoning_parts_of_content_are_kept() -> None:
    part = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}

    parsed = delta(content=[part, {"type": "text", "text": "a"}])

    assert (parsed.content, parsed.content_parts) == ("a", [part])


@pytest.mark.parametrize(
    "fields",
    [
        {"delta": None},
        {"delta": {"content": None, "role": "assistant", "tool_calls": None}},
        {"delta": {"role": 5, "refusal": [1]}},
    ],
)
def test_empty_delta_is_accepted(fields: dict[str, Any]) -> None:
    assert parse_chunk(choice(**fields)).choices[0].delta.content is None


@pytest.mark.parametrize("chunk", [{}, {"choices": None}, {"choices": []}, {"id": 5}])
def test_chunk_without_choices_is_accepted(chunk: dict[str, Any]) -> None:
    assert parse_chunk(chunk).choices == []


@pytest.mark.parametrize("field", ["message", "text"])
def test_whole_message_counts_as_a_delta(field: str) -> None:
    value = "a" if field == "text" else {"role": "assistant", "content": "a"}

    assert parse_chunk({"choices": [{field: value}]}).choices[0].delta.content == "a"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"function": {"name": "f", "arguments": {"a": 1}}}, (None, None, "f", '{"a":1}')),
        ({"index": "1", "id": 7, "function": {"name": "f"}}, (1, "7", "f", None)),
        ({"name": "f", "arguments": ""}, (None, None, "f", "")),
        ({"index": None, "id": None, "type": None, "function": None}, (None, None, None, None)),
        ({"index": [0], "function": {"name": "f", "arguments": None}}, (None, None, "f", None)),
    ],
)
def test_tool_call_is_corrected(call: dict[str, Any], expected: tuple[Any, ...]) -> None:
    [parsed] = delta(tool_calls=[call]).tool_calls

    function = parsed.function
    assert (parsed.index, parsed.id, function.name, function.arguments) == expected


def test_flat_call_in_an_otherwise_valid_chunk_is_corrected() -> None:
    about = {"id": "c", "created": 1, "model": "m", "object": "chat.completion.chunk"}
    call = {"index": 0, "id": "1", "name": "f", "arguments": "{}"}

    [parsed] = parse_chunk(about | choice(delta={"tool_calls": [call]})).choices
    [corrected] = parsed.delta.tool_calls or []
    assert corrected.function is not None
    assert (corrected.function.name, corrected.function.arguments) == ("f", "{}")


def test_null_instead_of_an_object_is_left_out() -> None:
    assert parse_chunk({"choices": [None]}).choices == []
    assert delta(content="a", tool_calls=[None]).tool_calls is None


@pytest.mark.parametrize("calls", [{"index": 0}, [5], "f"])
def test_calls_that_are_no_list_of_objects_are_an_error(calls: Any) -> None:
    with pytest.raises(UnusableResponse, match="`tool_calls`"):
        delta(tool_calls=calls)


def test_legacy_function_call_is_a_tool_call() -> None:
    [parsed] = delta(function_call={"name": "f", "arguments": "{}"}).tool_calls

    assert (parsed.function.name, parsed.function.arguments) == ("f", "{}")


def test_extensions_of_a_tool_call_are_kept() -> None:
    call = {"id": "\ud800", "function": {"name": "f"}, "provider_specific_fields": {"a": [1]}}

    [parsed] = delta(tool_calls=[call]).tool_calls

    assert parsed.provider_specific_fields == {"a": [1]}


def counts(chunk: dict[str, Any]) -> tuple[int, int] | None:
    usage = parse_chunk(chunk).usage
    return usage and (usage.prompt_tokens, usage.completion_tokens)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, (3, 4)),
        ({"prompt_tokens": "3", "completion_tokens": 4.0}, (3, 4)),
        ({"prompt_tokens": None, "completion_tokens": 4.6}, (0, 4)),
        ({"prompt_tokens": -3, "completion_tokens": "many"}, (0, 0)),
        ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, (0, 0)),
        ({"input_tokens": 3, "output_tokens": 4}, (3, 4)),
        ({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": "x"}}, (1, 0)),
        ({"prompt_tokens": 1, "completion_tokens_details": "x"}, (1, 0)),
        ({}, None),
        (None, None),
        ("much", None),
        ([1], None),
    ],
)
def test_usage_of_any_type_is_read(usage: object, expected: tuple[int, int] | None) -> None:
    assert counts({"choices": [], "usage": usage}) == expected


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [], "x_groq": {"id": "r", "usage": {"prompt_tokens": 3}}},
        {"choices": [{"index": 0, "delta": {}, "usage": {"prompt_tokens": 3}}]},
        {"choices": [{"index": 0, "delta": {"content": "a"}, "usage": {"prompt_tokens": 3}}]},
    ],
)
def test_usage_is_found_where_servers_put_it(chunk: dict[str, Any]) -> None:
    about = {"id": "c", "created": 1, "model": "m", "object": "chat.completion.chunk"}

    assert counts(about | chunk) == (3, 0)


@given(CHUNK | JSON)
def test_any_json_is_a_chunk_or_an_error(value: object) -> None:
    try:
        chunk = parse_chunk(value)
    except UnusableResponse:
        return
    assert isinstance(chunk, ChatCompletionChunk)
    for parsed in chunk.choices:
        assert isinstance(parsed.delta.content, str | None)
        for call in parsed.delta.tool_calls or ():
            assert call.function is not None
            assert isinstance(call.function.arguments, str | None)
