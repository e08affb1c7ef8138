"""Merged deltas: however the bytes arrive, the answer is the one of single events."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from tests.support.models.server_streams import (
    CALL,
    DONE,
    SERVERS,
    Delta,
    arguments,
    bytewise,
    event,
    opening,
    split,
    stream,
)
from worker.models.chat.chunk import parse_chunk
from worker.models.chat.reasoning import TAG_FIELD
from worker.models.chat.stream_repair import repair_stream
from worker.models.transport.delta_merger import plain_delta
from worker.models.transport.event_decoder import AnswerDecoder

_PIECES = st.text(max_size=6) | st.sampled_from(
    ['"', "\\", '"}', "\n\n", "data: x", "<think>", "</think>", "[DONE]", '"finish_reason":"stop"']
)


async def chunks(pieces: list[bytes]) -> AsyncIterator[ChatCompletionChunk]:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async for decoded in AnswerDecoder("text/event-stream").aiter_bytes(body()):
        if not decoded.data.startswith("[DONE]"):
            yield parse_chunk(decoded.json())


async def answer(pieces: list[bytes]) -> list[tuple[str, str]]:
    """The kinds and texts of a repaired answer. Successive texts of one kind are joined."""
    joined: list[tuple[str, str]] = []
    async for chunk in repair_stream(chunks(pieces)):
        for kind, text in _parts(chunk):
            if joined and joined[-1][0] == kind:
                joined[-1] = (kind, joined[-1][1] + text)
            elif text:
                joined.append((kind, text))
    return joined


def _parts(chunk: ChatCompletionChunk) -> Iterator[tuple[str, str]]:
    yield "usage", repr(chunk.usage) if chunk.usage else ""
    for choice in chunk.choices:
        for call in choice.delta.tool_calls or ():
            yield f"call {call.index} {call.id}", (call.function and call.function.name) or ""
            yield f"arguments {call.index}", (call.function and call.function.arguments) or ""
        extra = choice.delta.model_extra or {}
        tag = extra.pop(TAG_FIELD, "")
        for field, value in extra.items():
            yield f"{field} {tag}", value if isinstance(value, str) else _json(value)
        yield f"content {choice.index} {chunk.id} {chunk.model}", choice.delta.content or ""
        yield "finish", choice.finish_reason or ""


def _json(value: object) -> str:
    return json.dumps(value) if value else ""


def _deltas_with(text: str) -> st.SearchStrategy[Delta]:
    deltas: list[Delta] = [
        {"content": text},
        {"content": None, "reasoning_content": text},
        {"content": "", "reasoning": text, "role": "assistant"},
        {"content": text, "annotations": []},
        {"content": text, "extra_content": {"x": 1}},
        *(arguments(index, text) for index in (0, 1)),
    ]
    return st.sampled_from(deltas)


_DELTAS = st.lists(
    _PIECES.flatmap(_deltas_with) | st.builds(opening, st.integers(0, 1)), max_size=12
)


@given(
    st.sampled_from(sorted(SERVERS)),
    _DELTAS,
    st.sampled_from([b"\n\n", b"\r\n\r\n", b"\n\n\n", b"\n"]),
    st.lists(st.integers(0), max_size=6),
)
async def test_answer_does_not_depend_on_the_reads(
    server: str, deltas: list[Delta], end: bytes, cuts: list[int]
) -> None:
    body = stream(server, [opening(0), opening(1), *deltas], end)
    expected = await answer(bytewise(body))
    assert await answer([body]) == expected
    assert await answer(split(body, cuts)) == expected


@pytest.mark.parametrize("server", SERVERS)
async def test_deltas_of_one_read_are_merged(server: str) -> None:
    texts = ["A", " b", "ä", "\n", '"']
    pieces = ['{"a"', ": 1", "}"]
    body = stream(
        server,
        [
            *({"reasoning_content": text} for text in texts),
            *({"content": text} for text in texts),
            opening(0),
            *(arguments(0, piece) for piece in pieces),
        ],
    )
    found = [chunk.choices[0].delta async for chunk in chunks([body])]
    assert [delta.model_extra["reasoning_content"] for delta in found if delta.model_extra] == [
        "".join(texts)
    ]
    assert [delta.content for delta in found if delta.content] == ["".join(texts)]
    calls = [call.function for delta in found for call in delta.tool_calls or ()]
    assert [call.arguments for call in calls if call] == ["", "".join(pieces)]


async def test_each_read_is_passed_on_at_once() -> None:
    received = 0

    async def body() -> AsyncIterator[bytes]:
        for number in range(5):
            yield event("openai", {"content": "x"})
            assert received == number + 1
        yield DONE

    async for decoded in AnswerDecoder().aiter_bytes(body()):
        received += not decoded.data.startswith("[DONE]")


NOT_PLAIN: list[object] = [
    {"choices": [{"delta": {"content": "x"}}], "usage": {"prompt_tokens": 1}},
    {"choices": [{"delta": {"content": "x"}}], "error": {"message": "x"}},
    {"choices": [{"delta": {"content": "x"}}], "citations": ["https://a.test"]},
    {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]},
    {"choices": [{"delta": {"content": "x"}, "usage": {"prompt_tokens": 1}}]},
    {"choices": [{"delta": {"content": "x", "reasoning": "y"}}]},
    {"choices": [{"delta": {"content": "x", "audio": {"id": "a"}}}]},
    {"choices": [{"delta": {"content": ["x"]}}]},
    {"choices": [{"delta": {"content": 1}}]},
    {"choices": [{"delta": {"content": "x"}}, {"index": 1, "delta": {"content": "y"}}]},
    {"choices": [{"message": {"content": "x"}}]},
    {"choices": [{"delta": {"tool_calls": [CALL]}}]},
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": {}}}]}}]},
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"name": None}}]}}]},
    {"choices": [None]},
    {"choices": []},
    ["x"],
]


@pytest.mark.parametrize("chunk", NOT_PLAIN)
def test_event_with_more_than_a_text_is_not_plain(chunk: object) -> None:
    assert plain_delta(b"data: " + json.dumps(chunk).encode()) is None


@pytest.mark.parametrize(
    "line",
    [
        b": keep-alive",
        b"event: message",
        b"data: [DONE]",
        b'event: x\ndata: {"choices":[{"delta":{"content":"x"}}]}',
        b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}',
        b'data: {"choices":[{"delta":{"content":"x"}}',
    ],
)
def test_other_lines_are_not_plain(line: bytes) -> None:
    assert plain_delta(line) is None
