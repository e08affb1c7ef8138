"""Streams of servers that deviate from OpenAI's format."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk

from worker.models.chat.chunk import parse_chunk
from worker.models.chat.reasoning import TAGGED_FIELD
from worker.models.chat.stream_repair import repair_stream


def chunk(index: int = 0, usage: Any = None, **delta: Any) -> ChatCompletionChunk:
    choices = [{"index": index, "delta": delta}] if delta else []
    return parse_chunk({"choices": choices, "usage": usage})


async def repaired(*chunks: ChatCompletionChunk) -> list[ChatCompletionChunk]:
    async def stream() -> AsyncIterator[ChatCompletionChunk]:
        for item in chunks:
            yield item

    return [item async for item in repair_stream(stream())]


async def text_of(*chunks: ChatCompletionChunk) -> str:
    result = await repaired(*chunks)
    return "".join(c.choices[0].delta.content or "" for c in result if c.choices)


async def calls_of(*pieces: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the name and the arguments of each call of a stream with these pieces."""
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    for item in await repaired(*(chunk(tool_calls=[piece]) for piece in pieces)):
        for call in item.choices[0].delta.tool_calls or ():
            assert call.function
            names[call.index] = names.get(call.index, "") + (call.function.name or "")
            arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    return [(names[index], arguments[index]) for index in sorted(names)]


def piece(
    index: int | None = None,
    call_id: str | None = None,
    name: str | None = None,
    arguments: Any = None,
) -> dict[str, Any]:
    return {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}


CALLS: dict[str, tuple[Sequence[dict[str, Any]], list[tuple[str, str]]]] = {
    "id and name only in the first piece": (
        [piece(0, "a", "f", ""), piece(0, None, None, '{"x"'), piece(0, None, None, ":1}")],
        [("f", '{"x":1}')],
    ),
    "id and name in every piece": (
        [piece(0, "a", "f", '{"x"'), piece(0, "a", "f", ":1}")],
        [("f", '{"x":1}')],
    ),
    "name in every piece and no id": (
        [piece(0, None, "f", '{"x"'), piece(0, None, "f", ":1}")],
        [("f", '{"x":1}')],
    ),
    "name in pieces": (
        [piece(0, "a", "get_"), piece(0, "a", "card"), piece(0, "a", None, "{}")],
        [("get_card", "{}")],
    ),
    "growing name": (
        [piece(0, "a", "get"), piece(0, "a", "get_card"), piece(0, "a", "get_card", "{}")],
        [("get_card", "{}")],
    ),
    "no indexes": (
        [piece(None, "a", "f", "{}"), piece(None, "b", "g", "{}")],
        [("f", "{}"), ("g", "{}")],
    ),
    "no indexes and no ids": (
        [piece(None, None, "f", "{}"), piece(None, None, "f", '{"x":1}')],
        [("f", "{}"), ("f", '{"x":1}')],
    ),
    "one index for two calls": (
        [piece(0, "a", "f", "{}"), piece(0, "b", "f", '{"x":1}')],
        [("f", "{}"), ("f", '{"x":1}')],
    ),
    "one id for two calls at two indexes": (
        [piece(0, "a", "f", "{}"), piece(1, "a", "g", '{"x":1}')],
        [("f", "{}"), ("g", '{"x":1}')],
    ),
    "one id for two calls without indexes": (
        [piece(None, "a", "f", '{"y":1}'), piece(None, "a", "f", '{"x":1}')],
        [("f", '{"y":1}'), ("f", '{"x":1}')],
    ),
    "a call repeated at the end": (
        [piece(0, "a", "f", '{"x"'), piece(0, None, None, ":1}"), piece(0, "a", "f", '{"x":1}')],
        [("f", '{"x":1}')],
    ),
    "arguments of the first call after the second has started": (
        [piece(0, "a", "f", '{"x"'), piece(1, "b", "g", "{}"), piece(0, None, None, ":1}")],
        [("f", '{"x":1}'), ("g", "{}")],
    ),
    "the same with ids instead of indexes": (
        [piece(None, "a", "f", '{"x"'), piece(None, "b", "g", "{}"), piece(None, "a", None, ":1}")],
        [("f", '{"x":1}'), ("g", "{}")],
    ),
    "arguments as an object": ([piece(0, "a", "f", {"x": 1})], [("f", '{"x":1}')]),
    "no arguments": ([piece(0, "a", "f", "")], [("f", "")]),
    "a lone surrogate": ([piece(0, "a", "f", '"\ud800"')], [("f", '"\ufffd"')]),
}


@pytest.mark.parametrize(("pieces", "expected"), CALLS.values(), ids=CALLS)
async def test_pieces_belong_to_the_right_call(
    pieces: Sequence[dict[str, Any]], expected: list[tuple[str, str]]
) -> None:
    assert await calls_of(*pieces) == expected


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["\ud83d", "\ude00"], "😀"),
        (["a\ud83d", "b"], "a\ufffdb"),
        (["a\ud83d"], "a\ufffd"),
        (["\ude00a"], "\ufffda"),
        (["a\x00b"], "a\x00b"),
    ],
)
async def test_surrogate_pairs_are_joined_and_halves_replaced(pieces: list[str], text: str) -> None:
    assert await text_of(*(chunk(content=text) for text in pieces)) == text


async def test_only_the_first_choice_is_used() -> None:
    both = parse_chunk(
        {
            "choices": [
                {"index": 0, "delta": {"content": "b"}},
                {"index": 1, "delta": {"content": "y"}},
            ]
        }
    )

    assert await text_of(chunk(content="a"), chunk(1, content="x"), both) == "ab"


#: Reports of chunks with output: prompt and completion tokens.
REPORTS: list[tuple[list[tuple[int, int]], tuple[int, int]]] = [
    ([(40, 10), (0, 20), (0, 10)], (40, 40)),
    ([(40, 1), (0, 1), (0, 1)], (40, 3)),
    ([(40, 1)] * 5, (40, 5)),
    ([(40, 2), (40, 2), (40, 2), (40, 3), (40, 1)], (40, 10)),
    ([(40, 0), (0, 5), (0, 3)], (40, 8)),
    ([(40, 1), (40, 1), (40, 2), (40, 3), (40, 4)], (40, 4)),
    ([(40, 30), (40, 30)], (40, 30)),
    ([(10, 1), (10, 2), (10, 3)], (10, 3)),
    ([(10, 1), (0, 25)], (10, 25)),
    ([(10, 3), (0, 0)], (10, 3)),
    ([(10, 3)], (10, 3)),
]


@pytest.mark.parametrize(("reported", "expected"), REPORTS)
async def test_usage_is_the_sum_or_the_highest_count(
    reported: list[tuple[int, int]], expected: tuple[int, int]
) -> None:
    assert await usage_of(reported) == expected


@pytest.mark.parametrize(
    ("end", "expected"),
    [((40, 40), (40, 40)), ((0, 1), (40, 41)), ((0, 40), (40, 40)), ((0, 0), (40, 40))],
)
async def test_report_at_the_end_is_a_total_or_the_rest(
    end: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert await usage_of([(40, 10), (0, 20), (0, 10)], end) == expected


@pytest.mark.parametrize("end", [(40, 3), (40, 2), (0, 0)])
async def test_running_count_is_not_added_up(end: tuple[int, int]) -> None:
    assert await usage_of([(40, 1), (40, 2), (40, 3)], end) == (40, 3)


async def usage_of(
    reported: Sequence[tuple[int, int]], end: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Return the usage after these reports, and after one in a chunk without output."""
    counts = [{"prompt_tokens": p, "completion_tokens": c} for p, c in (*reported, end or (0, 0))]
    *chunks, last = [
        *(chunk(usage=usage, content="a") for usage in counts[:-1]),
        chunk(usage=counts[-1]),
    ]
    usage = (await repaired(*chunks, last))[-1].usage
    assert usage
    assert usage.total_tokens in (0, usage.prompt_tokens + usage.completion_tokens)
    return usage.prompt_tokens, usage.completion_tokens


@pytest.mark.parametrize("start", ["", "<think>"])
async def test_megabytes_of_text_are_split(start: str) -> None:
    text = "data:image/png;base64," + "iVBORw0KGgo" * 200_000

    result = await repaired(chunk(content="Image:"), chunk(content=start + text), chunk(content=""))
    texts = [item.choices[0].delta.content or "" for item in result]
    assert "".join(texts) == f"Image:{start}{text}"
    assert max(map(len, texts)) < 20_000


async def test_megabytes_of_reasoning_are_split() -> None:
    text = "hm " * 100_000

    result = await repaired(chunk(content=f"<think>{text}</think>Yes"))
    fields = [getattr(item.choices[0].delta, TAGGED_FIELD, None) for item in result]
    pieces = [piece for piece in fields if piece]
    assert "".join(pieces) == text
    assert max(map(len, pieces)) < 20_000
