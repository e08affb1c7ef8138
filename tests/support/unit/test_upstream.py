import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import httpx2
import pytest
from openai import APIConnectionError, AsyncOpenAI, InternalServerError, NotFoundError
from openai.types.chat.chat_completion_chunk import Choice

from bench.usage import cpu_seconds
from tests.support.upstream.client import ReceivedRequest, Upstream

TRANSPORT_ERRORS = (APIConnectionError, httpx2.TransportError)
ASK = {"role": "user", "content": "Hello there"}
CONTINUE = {"role": "user", "content": "Continue your previous answer from where it stopped."}
TOOL = {"id": "call_1", "name": "generateCard", "arguments": '{"title":"A"}'}


@pytest.fixture
async def http(upstream: Upstream) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=upstream.base_url, timeout=30) as client:
        yield client


@pytest.fixture
async def openai(upstream: Upstream) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="none", base_url=upstream.base_url, max_retries=0) as client:
        yield client


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def tool_round(*ids: str) -> list[dict[str, Any]]:
    function = {"name": "f", "arguments": "{}"}
    calls = [{"id": name, "type": "function", "function": function} for name in ids]
    results = [{"role": "tool", "tool_call_id": name, "content": "ok"} for name in ids]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *results]


async def choices(client: AsyncOpenAI, model: str, *messages: Any) -> AsyncIterator[Choice]:
    stream = await client.chat.completions.create(
        model=model, messages=cast("Any", messages or (ASK,)), stream=True
    )
    async for chunk in stream:
        yield chunk.choices[0]


async def answer(client: AsyncOpenAI, model: str, *messages: Any) -> str:
    """The text of a streamed answer."""
    parts = [choice.delta.content async for choice in choices(client, model, *messages)]
    return "".join(part or "" for part in parts)


async def until_broken(client: AsyncOpenAI, model: str) -> list[str]:
    """The text pieces before the stream breaks."""
    pieces: list[str] = []
    try:
        async for choice in choices(client, model):
            pieces += [choice.delta.content] if choice.delta.content else []
    except TRANSPORT_ERRORS:
        return pieces
    raise AssertionError("the stream did not break")


async def ended_request(upstream: Upstream, model: str) -> ReceivedRequest:
    """The model's newest request, once it has ended."""
    return (await upstream.until(model, lambda seen: seen[-1]["outcome"] != "open"))[-1]


async def test_stream_has_the_openai_format(upstream: Upstream, http: httpx.AsyncClient) -> None:
    await upstream.script("format", [[{"text": ["Hé", "llo"]}]])
    body = {
        "model": "format",
        "messages": [ASK],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    response = await http.post("/chat/completions", json=body)
    *events, done, rest = response.text.split("\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]

    assert response.headers["content-type"].startswith("text/event-stream")
    assert (done, rest) == ("data: [DONE]", "")
    assert [chunk["choices"][0]["delta"] for chunk in chunks[:-1]] == [
        {"role": "assistant", "content": ""},
        {"content": "Hé"},
        {"content": "llo"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[2:4]] == [None, "stop"]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[-1]["choices"] == []
    usage = {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
    assert [chunk["usage"] for chunk in chunks[-2:]] == [None, usage]


async def test_request_without_stream_returns_a_completion(
    upstream: Upstream, openai: AsyncOpenAI
) -> None:
    response = [{"reasoning": ["Hm"]}, {"text": ["Hel", "lo"]}, {"finish": "length"}]
    await upstream.script("whole", [response])
    completion = await openai.chat.completions.create(
        model="whole", messages=[{"role": "user", "content": "Hi"}]
    )
    assert completion.choices[0].message.content == "Hello"
    assert completion.choices[0].message.to_dict()["reasoning_content"] == "Hm"
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage
    assert completion.usage.total_tokens == 4


async def test_scripts_are_listed_as_models(upstream: Upstream, openai: AsyncOpenAI) -> None:
    await upstream.script("vendor/listed", [[]])
    assert "vendor/listed" in [model.id async for model in openai.models.list()]


async def test_unknown_model_returns_404(openai: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError, match="`absent` does not exist"):
        await answer(openai, "absent")


async def test_invalid_script_returns_422(upstream: Upstream) -> None:
    with pytest.raises(RuntimeError, match="422"):
        await upstream.script("wrong", [[{"txt": ["a"]}]])


async def test_parallel_tool_calls_are_streamed_in_pieces(
    upstream: Upstream, openai: AsyncOpenAI
) -> None:
    second = TOOL | {"id": "call_2", "pieces": 4}
    await upstream.script("tools", [[{"tool": TOOL}, {"tool": second}]])
    chunks = [choice async for choice in choices(openai, "tools")]
    calls = [call for chunk in chunks for call in chunk.delta.tool_calls or []]

    assert [(call.index, call.id) for call in calls if call.id] == [(0, "call_1"), (1, "call_2")]
    arguments = [call.function.arguments for call in calls if call.index == 1 and call.function]
    assert len(arguments) == 5
    assert json.loads("".join(a or "" for a in arguments)) == {"title": "A"}
    assert chunks[-1].finish_reason == "tool_calls"


async def test_each_round_of_tool_results_selects_the_next_response(
    upstream: Upstream, openai: AsyncOpenAI
) -> None:
    await upstream.script("rounds", [[{"tool": TOOL}], [{"text": ["one"]}], [{"text": ["two"]}]])
    first, second = tool_round("a", "b"), tool_round("c")

    assert await answer(openai, "rounds", ASK, *first) == "one"
    assert await answer(openai, "rounds", ASK, *first, *second) == "two"
    assert await answer(openai, "rounds", ASK, *first, *second, *first) == "two"
    assert (
        await answer(openai, "rounds", ASK, *first, *second, assistant("two"), ASK, *first) == "one"
    )


@pytest.mark.parametrize("partial", ["On", "One", "One t", "One two"])
@pytest.mark.parametrize("as_parts", [False, True])
async def test_continuation_returns_the_rest_of_the_same_response(
    upstream: Upstream, openai: AsyncOpenAI, partial: str, *, as_parts: bool
) -> None:
    await upstream.script(
        "rest", [[{"text": ["x"]}], [{"reasoning": ["hm"]}, {"text": ["One", " two"]}]]
    )
    content = [{"type": "text", "text": partial}] if as_parts else partial
    rest = await answer(openai, "rest", ASK, *tool_round("a"), assistant(content), CONTINUE)
    assert partial + rest == "One two"


async def test_answer_can_be_continued_twice(upstream: Upstream, openai: AsyncOpenAI) -> None:
    await upstream.script("twice", [[{"text": ["abc", "def"]}]])
    history = [ASK, assistant("ab"), CONTINUE, assistant("cd"), CONTINUE]
    assert await answer(openai, "twice", *history) == "ef"


async def test_continuation_repeats_neither_reasoning_nor_waits(
    upstream: Upstream, openai: AsyncOpenAI
) -> None:
    steps = [
        {"reasoning": ["hm"]},
        {"sleep": 60},
        {"wait": True},
        {"text": ["ab"]},
        {"tool": TOOL},
    ]
    await upstream.script("over", [steps])
    rest = choices(openai, "over", ASK, assistant("ab"), CONTINUE)
    deltas = [choice.delta.to_dict() async for choice in rest]
    assert [sorted(delta) for delta in deltas] == [["content", "role"], *[["tool_calls"]] * 2, []]


async def test_continuation_of_an_unknown_partial_answer_returns_500(
    upstream: Upstream, openai: AsyncOpenAI
) -> None:
    await upstream.script("diverged", [[{"text": ["One"]}]])
    with pytest.raises(InternalServerError, match="'Two' is not a prefix of 'One'"):
        await answer(openai, "diverged", ASK, assistant("Two"), CONTINUE)


async def test_failures_are_consumed_in_order(upstream: Upstream, http: httpx.AsyncClient) -> None:
    busy = {"status": 429, "headers": {"retry-after": "1"}}
    unavailable = {"status": 503, "body": {"detail": "away"}}
    await upstream.script("busy", [[{"text": ["a"]}]], failures=[busy, {"ok": True}, unavailable])
    body = {"model": "busy", "messages": [ASK]}
    first, second, third, fourth = [
        await http.post("/chat/completions", json=body) for _ in range(4)
    ]
    assert (first.status_code, first.headers["retry-after"]) == (429, "1")
    assert first.json()["error"]["message"] == "scripted failure 429"
    assert (third.status_code, third.json()) == (503, {"detail": "away"})
    assert (second.status_code, fourth.status_code) == (200, 200)
    assert [(r["outcome"], r["sent"], r["body"]) for r in await upstream.requests("busy")] == [
        ("refused", 0, body),
        ("finished", 1, body),
        ("refused", 0, body),
        ("finished", 1, body),
    ]


async def test_cut_before_the_headers_resets_the_connection(
    upstream: Upstream, http: httpx.AsyncClient
) -> None:
    await upstream.script("early", [[{"text": ["a"]}]], failures=[{"cut_before_headers": True}])
    with pytest.raises(httpx.ReadError):
        await http.post("/chat/completions", json={"model": "early", "messages": [ASK]})
    assert (await ended_request(upstream, "early"))["outcome"] == "cut"


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_cut_after_some_pieces_resets_the_connection(
    upstream: Upstream, openai: AsyncOpenAI, after: int
) -> None:
    await upstream.script("cut", [[{"text": ["a", "b", "c"]}]], failures=[{"cut_after": after}])
    assert await until_broken(openai, "cut") == list("abc"[:after])
    request = await ended_request(upstream, "cut")
    assert (request["outcome"], request["sent"]) == ("cut", after)


async def test_cut_after_the_last_piece_has_no_effect(
    upstream: Upstream, openai: AsyncOpenAI
) -> None:
    await upstream.script("late", [[{"text": ["a"]}]], failures=[{"cut_after": 2}])
    assert await answer(openai, "late") == "a"


async def test_silence_lasts_until_the_client_disconnects(
    upstream: Upstream, http: httpx.AsyncClient
) -> None:
    await upstream.script("silent", [[{"text": ["a", "b"]}]], failures=[{"silence_after": 1}])
    body = {"model": "silent", "messages": [ASK], "stream": True}
    with pytest.raises(httpx.ReadTimeout):
        await http.post("/chat/completions", json=body, timeout=0.2)
    request = await ended_request(upstream, "silent")
    assert (request["outcome"], request["sent"]) == ("client-closed", 1)


async def test_each_release_opens_the_next_wait(upstream: Upstream, openai: AsyncOpenAI) -> None:
    await upstream.script(
        "waits", [[{"text": ["a"]}, {"wait": True}, {"text": ["b"]}, {"wait": True}]]
    )
    answers = [asyncio.create_task(answer(openai, "waits")) for _ in range(2)]

    async def all_sent(count: int) -> None:
        await upstream.until("waits", lambda seen: [got["sent"] for got in seen] == [count] * 2)

    await all_sent(1)
    await upstream.release("waits")
    await all_sent(2)
    assert not any(task.done() for task in answers)
    await upstream.release("waits")
    assert await asyncio.gather(*answers) == ["ab", "ab"]
    assert await answer(openai, "waits") == "ab"


async def test_pieces_are_sent_with_their_delay(upstream: Upstream, openai: AsyncOpenAI) -> None:
    await upstream.script("delayed", [[{"words": 11, "delay": 0.02}]])
    started = time.monotonic()
    assert await answer(openai, "delayed") == " ".join(f"w{n}" for n in range(11))
    assert time.monotonic() - started >= 0.2


async def test_clear_removes_scripts_and_requests() -> None:
    async with Upstream() as server:
        await server.script("gone", [[{"text": ["a"]}]])
        async with AsyncOpenAI(api_key="none", base_url=server.base_url) as client:
            await answer(client, "gone")
            await server.clear()
            assert await server.requests("gone") == []
            with pytest.raises(NotFoundError):
                await answer(client, "gone")


async def test_stream_is_fast_enough_for_benchmarks(
    upstream: Upstream, http: httpx.AsyncClient
) -> None:
    await upstream.script("fast", [[{"words": 20_000}]])
    body = {"model": "fast", "messages": [ASK], "stream": True}
    used = cpu_seconds([upstream.pid])
    response = await http.post("/chat/completions", json=body)
    assert response.content.count(b'"content":') == 20_001
    assert cpu_seconds([upstream.pid]) - used < 1
