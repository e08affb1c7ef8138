"""Backends against a real HTTP server that imitates the quirks of common servers."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic_ai import Agent, FunctionToolset
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    AudioUrl,
    BinaryContent,
    PartDeltaEvent,
    PartStartEvent,
    TextPartDelta,
    ThinkingPart,
)
from pydantic_ai.messages import ThinkingPartDelta as ThinkingDelta

from mamba.backends import (
    AuthenticationError,
    ModelBackendError,
    OpenAICompatibleBackend,
    RateLimitError,
    StreamChunk,
    create_lmstudio_backend,
    create_ollama_backend,
    create_vllm_backend,
)
from tests.support.processes import free_port
from tests.support.upstream.client import Upstream
from tests.support.upstream.quirks import SERVERS, Quirk
from worker.models.run_failures import MODEL_ERROR, failure_of

KEY = "sk-very-secret"
HI = [{"role": "user", "content": "Hi"}]
HELLO = [{"text": ["Hel", "lo"]}]
THINKING = [{"reasoning": ["I th", "ink"]}, {"text": ["Hel", "lo"]}]
CALLS = [
    {"tool": {"id": "c1", "name": "add", "arguments": '{"a": 1, "b": 2}', "pieces": 3}},
    {"tool": {"id": "c2", "name": "add", "arguments": '{"a": 3, "b": 4}', "pieces": 3}},
]


@pytest.fixture
async def backend(upstream: Upstream) -> AsyncGenerator[OpenAICompatibleBackend]:
    async with OpenAICompatibleBackend("m", base_url=upstream.base_url, api_key=KEY) as backend:
        yield backend


async def chunks_of(backend: OpenAICompatibleBackend, **options: Any) -> list[StreamChunk]:
    return [chunk async for chunk in backend.stream(HI, **options)]


async def test_completion_returns_content_usage_and_finish_reason(
    upstream: Upstream, backend: OpenAICompatibleBackend
) -> None:
    await upstream.script("m", [THINKING])

    answer = await backend.complete(HI, temperature=0.5, max_tokens=9, top_k=3)

    assert (answer.content, answer.reasoning, answer.finish_reason) == ("Hello", "I think", "stop")
    assert answer.usage is not None
    assert answer.usage["total_tokens"] > 0
    body = (await upstream.requests("m"))[-1]["body"]
    assert (body["temperature"], body["max_tokens"], body["top_k"]) == (0.5, 9, 3)


async def test_stream_ends_with_one_final_chunk_with_usage(
    upstream: Upstream, backend: OpenAICompatibleBackend
) -> None:
    await upstream.script("m", [THINKING])

    *pieces, last = await chunks_of(backend)

    assert "".join(piece.content for piece in pieces) == "Hello"
    assert "".join(piece.reasoning for piece in pieces) == "I think"
    assert not any(piece.is_final for piece in pieces)
    assert (last.is_final, last.finish_reason) == (True, "stop")
    assert last.usage is not None


async def test_tools_are_sent_and_tool_calls_returned(
    upstream: Upstream, backend: OpenAICompatibleBackend
) -> None:
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    await upstream.script("m", [CALLS])

    answer = await backend.complete(HI, tools=[tool])

    assert answer.tool_calls is not None
    assert [call["function"]["name"] for call in answer.tool_calls] == ["add", "add"]
    assert (await upstream.requests("m"))[-1]["body"]["tools"] == [tool]


ERRORS = [
    (401, AuthenticationError, False),
    (403, AuthenticationError, False),
    (404, ModelBackendError, False),
    (429, RateLimitError, True),
    (500, ModelBackendError, True),
]


@pytest.mark.parametrize(("status", "kind", "retryable"), ERRORS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_endpoint_errors_are_mapped_without_the_key(
    upstream: Upstream,
    backend: OpenAICompatibleBackend,
    status: int,
    kind: type[ModelBackendError],
    *,
    retryable: bool,
    streamed: bool,
) -> None:
    body = {"error": {"message": f"Bad key {KEY}", "code": KEY}}
    failure = {"status": status, "body": body, "headers": {"retry-after": "3"}}
    await upstream.script("m", [HELLO], [failure])

    with pytest.raises(kind) as caught:
        await (chunks_of(backend) if streamed else backend.complete(HI))

    error = caught.value
    assert (error.model, error.retryable, error.status) == ("m", retryable, status)
    assert isinstance(error.cause, Exception)
    if isinstance(error, RateLimitError):
        assert error.retry_after == 3.0
    for thing in (error, error.cause, vars(error.cause), backend, vars(backend)):
        assert KEY not in f"{thing!r} {thing}"


async def test_exhausted_quota_is_not_retryable(
    upstream: Upstream, backend: OpenAICompatibleBackend
) -> None:
    body = {"error": {"message": "no", "code": "insufficient_quota"}}
    await upstream.script("m", [HELLO], [{"status": 429, "body": body}])

    with pytest.raises(RateLimitError) as caught:
        await backend.complete(HI)

    assert not caught.value.retryable


UNUSABLE = {
    "an empty stream": ({"raw": "data: [DONE]\n\n"}, True),
    "a failed server": ({"status": 200, "body": {"error": {"message": "x", "code": 503}}}, True),
    "an overloaded server": ({"status": 200, "body": {"error": {"type": "overloaded"}}}, True),
    "a used-up quota": ({"status": 200, "body": {"error": {"code": "insufficient_quota"}}}, False),
    "a rejected request": ({"status": 200, "body": {"error": {"message": "no"}}}, False),
    "a page": ({"status": 200, "body": "<h1>Log in</h1>"}, False),
}


@pytest.mark.parametrize(("response", "retryable"), UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("streamed", [False, True])
async def test_unusable_response_is_retryable_as_in_a_run(
    upstream: Upstream,
    backend: OpenAICompatibleBackend,
    response: dict[str, Any],
    *,
    retryable: bool,
    streamed: bool,
) -> None:
    await upstream.script("m", [HELLO], [response])

    with pytest.raises(ModelBackendError) as caught:
        await (chunks_of(backend) if streamed else backend.complete(HI))

    assert caught.value.retryable == retryable
    assert isinstance(caught.value.cause, Exception)
    assert failure_of(caught.value.cause).worker_retries == retryable


async def test_interrupted_answer_raises_retryable_error(
    upstream: Upstream, backend: OpenAICompatibleBackend
) -> None:
    await upstream.script("m", [HELLO], [{"cut_after": 1}])

    with pytest.raises(ModelBackendError) as caught:
        await chunks_of(backend)

    assert caught.value.retryable


async def test_silent_endpoint_times_out(upstream: Upstream) -> None:
    await upstream.script("m", [HELLO], [{"silence_after": 1}])

    async with OpenAICompatibleBackend("m", base_url=upstream.base_url, timeout=0.2) as backend:
        with pytest.raises(ModelBackendError, match="in time") as caught:
            await chunks_of(backend)

    assert caught.value.retryable


async def test_closing_the_stream_closes_the_connection(upstream: Upstream) -> None:
    await upstream.script("abandoned", [[{"text": ["a"]}, {"wait": True}]])
    async with OpenAICompatibleBackend("abandoned", base_url=upstream.base_url) as backend:
        stream = backend.stream(HI)
        assert (await anext(stream)).content == "a"
        await stream.aclose()

        await upstream.until("abandoned", lambda seen: seen[-1]["outcome"] == "client-closed")


async def test_health_check_reports_reachability(upstream: Upstream) -> None:
    unreachable = f"http://127.0.0.1:{free_port()}/v1"
    async with (
        create_ollama_backend("m", base_url=upstream.base_url) as available,
        create_vllm_backend("m", base_url=unreachable) as away,
    ):
        assert await available.health_check()
        assert not await away.health_check()


@pytest.mark.parametrize(("status", "healthy"), [(401, True), (403, True), (500, False)])
async def test_endpoint_that_rejects_the_key_counts_as_available(
    status: int, *, healthy: bool
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        address = f"http://127.0.0.1:{port}/v1"
        async with OpenAICompatibleBackend("m", base_url=address, api_key=KEY) as backend:
            assert await backend.health_check() is healthy


async def test_stream_request_has_the_documented_fields(
    upstream: Upstream, backend: OpenAICompatibleBackend
) -> None:
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    await upstream.script("m", [HELLO])

    await chunks_of(backend, tools=[tool], temperature=0.5, max_tokens=9, seed=7)

    body = (await upstream.requests("m"))[-1]["body"]
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.5, 9, 7)
    assert (body["tools"], body["stream"]) == ([tool], True)


async def test_closed_backend_sends_no_requests(
    upstream: Upstream, backend: OpenAICompatibleBackend
) -> None:
    await upstream.script("m", [HELLO])
    await backend.complete(HI)

    await backend.close()

    with pytest.raises(RuntimeError, match="closed"):
        await backend.complete(HI)


async def test_factories_use_default_names_and_ports() -> None:
    backends = [create_ollama_backend("a"), create_vllm_backend("b/c"), create_lmstudio_backend()]

    assert [backend.name for backend in backends] == ["ollama", "vllm", "lmstudio"]
    assert [backend.model for backend in backends] == ["a", "b/c", "local-model"]
    for backend, port in zip(backends, (11434, 8000, 1234), strict=True):
        assert f"http://localhost:{port}/v1" in repr(backend)
        await backend.close()


async def test_secret_key_is_not_in_the_repr(upstream: Upstream) -> None:
    secret = SecretStr(KEY)
    async with OpenAICompatibleBackend("m", base_url=upstream.base_url, api_key=secret) as backend:
        assert KEY not in repr(vars(backend))


QUIRKS: list[list[Quirk]] = [list(quirks) for quirks in SERVERS.values()]
SINGLE: list[list[Quirk]] = [
    ["role-everywhere"],
    ["reasoning-field"],
    ["think-tags"],
    ["empty-choices-first"],
    ["empty-finish-reason"],
    ["no-done"],
    ["no-usage"],
    ["comments"],
    ["crlf"],
]


@pytest.mark.parametrize("quirks", QUIRKS + SINGLE, ids=[*SERVERS, *(q[0] for q in SINGLE)])
async def test_reasoning_is_separated_from_text_for_every_server(
    upstream: Upstream, backend: OpenAICompatibleBackend, quirks: list[Quirk]
) -> None:
    await upstream.script("m", [THINKING], quirks=quirks)
    text, reasoning = "", ""
    agent = Agent(backend.chat_model())

    async with agent.iter("Hi") as run:
        async for node in run:
            if Agent.is_model_request_node(node):
                async with node.stream(run.ctx) as events:
                    async for event in events:
                        match event:
                            case PartStartEvent(part=ThinkingPart(content=content)):
                                reasoning += content
                            case PartDeltaEvent(delta=ThinkingDelta(content_delta=delta)):
                                reasoning += delta or ""
                            case PartStartEvent(part=part):
                                text += getattr(part, "content", "")
                            case PartDeltaEvent(delta=TextPartDelta(content_delta=delta)):
                                text += delta
                            case _:
                                pass

    assert (text, reasoning) == ("Hello", "I think")
    *pieces, last = await chunks_of(backend)
    assert "".join(piece.content for piece in pieces) == "Hello"
    assert "".join(piece.reasoning for piece in pieces) == "I think"
    assert last.is_final


CALL_QUIRKS: list[list[Quirk]] = [
    ["whole-tool-calls"],
    ["no-tool-ids"],
    ["same-tool-index"],
    ["whole-tool-calls", "same-tool-index", "no-tool-ids"],
    ["whole-tool-calls", "no-tool-index"],
    ["repeated-tool-names"],
    ["whole-tool-calls", "arguments-as-object"],
    ["stop-for-tools"],
]


@pytest.mark.parametrize("quirks", QUIRKS + CALL_QUIRKS)
async def test_tool_calls_with_odd_indexes_stay_separate(
    upstream: Upstream, backend: OpenAICompatibleBackend, quirks: list[Quirk]
) -> None:
    sums: list[int] = []

    def add(a: int, b: int) -> int:
        sums.append(a + b)
        return sums[-1]

    await upstream.script("m", [CALLS, HELLO], quirks=quirks)
    agent = Agent(backend.chat_model(), toolsets=[FunctionToolset([add])])

    async with agent.run_stream("Hi") as result:
        assert await result.get_output() == "Hello"

    assert sorted(sums) == [3, 7]
    results = (await upstream.requests("m"))[-1]["body"]["messages"][-2:]
    assert sorted(result["content"] for result in results) == ["3", "7"]
    assert len({result["tool_call_id"] for result in results}) == 2


@pytest.mark.parametrize("quirk", ["error-at-the-end", "old-error-at-the-end"])
async def test_error_event_in_stream_raises_retryable_error(
    upstream: Upstream, backend: OpenAICompatibleBackend, quirk: Quirk
) -> None:
    await upstream.script("m", [HELLO], quirks=[quirk])

    with pytest.raises(ModelBackendError) as caught:
        await chunks_of(backend)
    assert caught.value.retryable

    with pytest.raises(Exception) as failed:  # noqa: PT011  (the test checks the failure)
        async with Agent(backend.chat_model()).run_stream("Hi") as result:
            await result.get_output()
    assert failure_of(failed.value).worker_retries


MALFORMED = {
    "a list": "[1, 2]",
    "a number": "5",
    "a string": '"hello"',
    "choices that are a string": '{"choices": "x"}',
    "choices that are an object": '{"choices": {"a": 1}}',
    "a choice that is a number": '{"choices": [1]}',
    "a delta that is a number": '{"choices": [{"index": 0, "delta": 5}]}',
    "content that is an object": '{"choices": [{"delta": {"content": {"a": 1}}}]}',
    "an error as finish reason": '{"choices": [{"delta": {}, "finish_reason": "error"}]}',
    "a call that is a number": '{"choices": [{"index": 0, "delta": {"tool_calls": [3]}}]}',
    "a function that is a string": '{"choices": [{"delta": {"tool_calls": [{"function": "f"}]}}]}',
    "a name that is a list": (
        '{"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"name": ["a"]}}]}}]}'
    ),
}


@pytest.mark.parametrize("chunk", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_chunk_raises_retryable_model_error(
    upstream: Upstream, backend: OpenAICompatibleBackend, chunk: str
) -> None:
    raw = {"raw": f'data: {chunk}\n\ndata: {{"choices": []}}\n\ndata: [DONE]\n\n'}
    await upstream.script("m", [HELLO], [raw, raw])

    with pytest.raises(ModelBackendError) as caught:
        await chunks_of(backend)
    assert caught.value.retryable

    with pytest.raises(Exception) as failed:  # noqa: PT011  (the test checks the failure)
        async with Agent(backend.chat_model()).run_stream("Hi") as result:
            await result.get_output()
    failure = failure_of(failed.value)
    assert replace(failure, upstream=None) == MODEL_ERROR
    assert str(failure.upstream_fields["received"]).startswith("The server ")


@pytest.mark.parametrize("chunk", ["[" * 5000 + "]" * 5000, "9" * 5000, "secret"])
async def test_unparsable_chunk_raises_model_error(
    upstream: Upstream, backend: OpenAICompatibleBackend, chunk: str
) -> None:
    raw = {"raw": f'data: {{"choices": {chunk}}}\n\ndata: [DONE]\n\n'}
    await upstream.script("m", [HELLO], [raw, raw])

    with pytest.raises(ModelBackendError):
        await chunks_of(backend)
    with pytest.raises(Exception) as failed:  # noqa: PT011  (the test checks the failure)
        async with Agent(backend.chat_model()).run_stream("Hi") as result:
            await result.get_output()
    failure = failure_of(failed.value)
    assert replace(failure, upstream=None) == MODEL_ERROR
    assert str(failure.upstream_fields["received"]).startswith("The server ")


async def test_lone_surrogate_in_tool_call_is_replaced(
    upstream: Upstream, backend: OpenAICompatibleBackend
) -> None:
    surrogate = r"\ud800"
    function = f'"function": {{"name": "say", "arguments": "{{\\"text\\": \\"{surrogate}\\"}}"}}'
    call = f'{{"index": 0, "id": "c{surrogate}", {function}}}'
    choice = f'{{"delta": {{"tool_calls": [{call}]}}, "finish_reason": "tool_calls"}}'
    chunk = f'{{"choices": [{choice}]}}'
    await upstream.script("m", [HELLO], [{"raw": f"data: {chunk}\n\ndata: [DONE]\n\n"}])
    spoken: list[str] = []
    tools = FunctionToolset([say_into(spoken)])

    async with Agent(backend.chat_model(), toolsets=[tools]).run_stream("Hi") as result:
        assert await result.get_output() == "Hello"
    assert spoken == ["\ufffd"]


def say_into(spoken: list[str]) -> Callable[[str], str]:
    def say(text: str) -> str:
        spoken.append(text)
        return text

    return say


@pytest.mark.parametrize("created", ['"2026-01-01"', "1e300", "[]", "null"])
async def test_chunk_creation_time_is_ignored(
    upstream: Upstream, backend: OpenAICompatibleBackend, created: str
) -> None:
    choices = '"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}]'
    raw = {"raw": f'data: {{"created": {created}, {choices}}}\n\ndata: [DONE]\n\n'}
    await upstream.script("m", [HELLO], [raw])

    async with Agent(backend.chat_model()).run_stream("Hi") as result:
        assert await result.get_output() == "Hello"


@pytest.mark.parametrize(
    "file",
    [
        BinaryContent(b"", media_type="application/x-foo"),
        BinaryContent(b"", media_type="nonsense"),
        BinaryContent(b"", media_type="a/b/c"),
        BinaryContent(b"", media_type="audio/ogg"),
        BinaryContent(b"", media_type="audio/nonsense"),
        AudioUrl("https://a.test/x", media_type="audio/ogg"),
        BinaryContent(b"", media_type="video/mp4"),
    ],
    ids=str,
)
async def test_unsupported_file_raises_unsupported_content(
    backend: OpenAICompatibleBackend, file: BinaryContent | AudioUrl
) -> None:
    with pytest.raises(UserError) as refused:
        await Agent(backend.chat_model()).run(["What is it?", file])

    assert failure_of(refused.value).code == "unsupported_content"


@pytest.mark.parametrize("media_type", ["audio/wav", "image/png", "application/pdf", "text/csv"])
async def test_supported_file_is_sent(
    upstream: Upstream, backend: OpenAICompatibleBackend, media_type: str
) -> None:
    await upstream.script("m", [HELLO])

    file = BinaryContent(b"a", media_type=media_type)
    answer = await Agent(backend.chat_model()).run(["What is it?", file])

    assert answer.output == "Hello"


async def test_concurrent_streams_share_one_backend(
    upstream: Upstream, backend: OpenAICompatibleBackend
) -> None:
    await upstream.script("m", [[{"words": 50}]])

    answers = await asyncio.gather(*(chunks_of(backend) for _ in range(20)))

    expected = " ".join(f"w{n}" for n in range(50))
    assert {"".join(chunk.content for chunk in chunks) for chunks in answers} == {expected}
