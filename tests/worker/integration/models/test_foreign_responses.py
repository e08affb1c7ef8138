"""Responses of model servers that are not OpenAI's stream, over real HTTP."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic_ai import Agent
from structlog.testing import capture_logs

from shared.providers.health import ProviderReport, ProviderReports
from shared.redis.client import Redis
from shared.settings import OpenAISettings, Settings
from shared.settings.live_settings import LiveSettings
from tests.support.upstream.client import Upstream, sse_body
from worker.models.health_probe import HealthProbe
from worker.models.registry import ModelRegistry
from worker.models.run_failures import failure_of

ERROR = {"message": "Unsupported parameter: 'max_tokens'", "type": "invalid_request_error"}
MESSAGE = {"role": "assistant", "content": "Hello", "reasoning_content": "Hm"}
COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


def settings(base_url: str) -> Settings:
    return Settings(openai=OpenAISettings(api_key=SecretStr("sk-secret"), base_url=base_url))


@pytest.fixture
async def models(upstream: Upstream) -> AsyncGenerator[ModelRegistry]:
    registry = ModelRegistry(LiveSettings(settings(upstream.base_url)))
    yield registry
    await registry.close()


async def failure_for(upstream: Upstream, models: ModelRegistry, **failure: Any) -> Any:
    await upstream.clear()
    await upstream.script("m", [[{"text": ["unused"]}]], [failure])
    with pytest.raises(Exception) as raised:  # noqa: PT011  (the test checks the failure)
        async with Agent(models.get("m")).run_stream("Hi") as result:
            await result.get_output()
    assert len(await upstream.requests("m")) == 1
    return failure_of(raised.value)


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        ("<h1>Log in</h1>", "model_endpoint", "not_a_completion"),
        ("", "model_endpoint", "not_a_completion"),
        ({"status": "ok"}, "model_endpoint", "not_a_completion"),
        ({"error": "Unexpected endpoint or method. (POST /x)"}, "model_endpoint", "endpoint"),
        ({"error": {"message": "no"}}, "model_rejected", "rejected"),
        ({"error": {"message": "x", "code": "insufficient_quota"}}, "quota_exceeded", "quota"),
    ],
)
async def test_response_without_an_answer_is_not_retried(
    upstream: Upstream, models: ModelRegistry, body: object, code: str, reason: str
) -> None:
    failure = await failure_for(upstream, models, status=200, body=body)
    assert (failure.code, failure.worker_retries) == (code, False)
    assert failure.upstream_fields["upstream_reason"] == reason
    kind = "text/html" if isinstance(body, str) else "application/json"
    assert failure.upstream_fields["content_type"] == kind


async def test_rejected_parameter_is_reported(upstream: Upstream, models: ModelRegistry) -> None:
    failure = await failure_for(upstream, models, status=400, body={"error": ERROR})
    assert failure.code == "model_rejected"
    assert failure.upstream_fields == {
        "upstream_status": 400,
        "upstream_type": "invalid_request_error",
        "upstream_param": "max_tokens",
        "upstream_reason": "unsupported_parameter",
        "content_type": "application/json",
    }


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ('event: error\ndata: {"error": {"type": "overloaded_error"}}', "model_unavailable"),
        ('data: {"error": {"message": "x", "code": "429"}}', "rate_limited"),
        ('data: {"error": "prompt is too long: 9 tokens > 8"}', "context_too_long"),
        ('data: {"error": {"message": "x", "type": "invalid_request_error"}}', "model_rejected"),
    ],
)
async def test_error_as_first_event_has_its_code(
    upstream: Upstream, models: ModelRegistry, event: str, code: str
) -> None:
    assert (await failure_for(upstream, models, raw=f"{event}\n\n")).code == code


def chunk(fields: Any) -> str:
    return sse_body(fields, done=False)


TEXT = chunk({"choices": [{"index": 0, "delta": {"content": "Hi"}}]})
NAMELESS = {"index": 0, "id": "c", "function": {"name": "", "arguments": "{}"}}
UNUSABLE = {
    "not JSON": (TEXT + 'data: {"choices": [{"delta"\n\n', "a chunk that is not JSON"),
    "not an object": (TEXT + "data: [1]\n\n", "a chunk that is not an object"),
    "calls as an object": (
        chunk({"choices": [{"delta": {"tool_calls": {"index": 0}}}]}),
        "`tool_calls` is no list of objects",
    ),
    "content as an object": (chunk({"choices": [{"delta": {"content": {}}}]}), "is not text"),
    "interrupted": (
        TEXT + chunk({"choices": [{"delta": {}, "finish_reason": "insufficient_system_resource"}]}),
        "`insufficient_system_resource`",
    ),
    "call without a name": (
        chunk({"choices": [{"delta": {"tool_calls": [NAMELESS]}, "finish_reason": "tool_calls"}]}),
        "a tool call without a name",
    ),
}


@pytest.mark.parametrize(("sent", "received"), UNUSABLE.values(), ids=UNUSABLE)
async def test_unusable_chunk_is_retried_and_described(
    upstream: Upstream, models: ModelRegistry, sent: str, received: str
) -> None:
    failure = await failure_for(upstream, models, raw=sent + "data: [DONE]\n\n")

    assert (failure.code, failure.worker_retries) == ("model_error", True)
    assert received in failure.upstream_fields["received"]


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
DESCRIBED = [
    (TEXT, "model_unreachable", "The connection ended before the answer was complete."),
    (chunk({"error": "boom"}), "model_error", "The server sent an error without a code"),
]


@pytest.mark.parametrize(("sent", "code", "received"), DESCRIBED)
async def test_broken_off_stream_is_described(
    upstream: Upstream, models: ModelRegistry, sent: str, code: str, received: str
) -> None:
    failure = await failure_for(upstream, models, raw=sent)

    assert (failure.code, failure.worker_retries) == (code, True)
    assert str(failure.upstream_fields["received"]).startswith(received)


FOREIGN: dict[str, list[Any]] = {
    "OpenAI responses": [
        {"type": "response.created", "response": {}},
        {"type": "response.output_text.delta", "delta": "Hi"},
        {"type": "response.completed", "response": {"usage": USAGE}},
    ],
    "Anthropic": [
        {"type": "message_start", "message": {}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
    ],
}


@pytest.mark.parametrize("events", FOREIGN.values(), ids=FOREIGN)
async def test_stream_of_another_api_is_a_wrong_endpoint(
    upstream: Upstream, models: ModelRegistry, events: list[Any]
) -> None:
    failure = await failure_for(upstream, models, raw=sse_body(*events, done=False))

    assert (failure.code, failure.worker_retries) == ("model_endpoint", False)
    assert failure.upstream_fields["received"] == (
        "The server sent a stream that is not an answer."
    )


async def test_null_chunk_is_left_out(upstream: Upstream, models: ModelRegistry) -> None:
    sent = "data: null\n\n" + TEXT + "data: null\n\ndata: [DONE]\n\n"
    await upstream.clear()
    await upstream.script("m", [[{"text": ["unused"]}]], [{"raw": sent}])
    async with Agent(models.get("m")).run_stream("Hi") as result:
        assert await result.get_output() == "Hi"


async def test_error_of_a_choice_has_its_code(upstream: Upstream, models: ModelRegistry) -> None:
    error = {"code": 429, "message": "x"}
    sent = chunk({"choices": [{"delta": {}, "finish_reason": "error", "error": error}]})
    failure = await failure_for(upstream, models, raw=sent)

    assert failure.code == "rate_limited"


async def test_redirects_in_a_loop_are_not_retried(
    upstream: Upstream, models: ModelRegistry
) -> None:
    await upstream.clear()
    target = {"status": 307, "headers": {"location": "/v1/chat/completions"}, "body": ""}
    await upstream.script("m", [[{"text": ["unused"]}]], [target] * 30)
    with pytest.raises(Exception) as raised:  # noqa: PT011  (the test checks the failure)
        await Agent(models.get("m")).run("Hi")

    failure = failure_of(raised.value)
    assert (failure.code, failure.worker_retries) == ("model_endpoint", False)
    assert failure.upstream_fields["received"] == "The server redirects in a loop."


async def test_invalid_output_of_a_model_is_retried(
    upstream: Upstream, models: ModelRegistry
) -> None:
    error = {"message": "x", "type": "invalid_request_error", "code": "tool_use_failed"}
    failure = await failure_for(upstream, models, status=400, body={"error": error})

    assert (failure.code, failure.worker_retries) == ("model_error", True)
    assert failure.upstream_fields["upstream_reason"] == "invalid_output"


async def test_whole_completion_is_an_answer(upstream: Upstream, models: ModelRegistry) -> None:
    await upstream.script("m", [[{"text": ["unused"]}]], [{"status": 200, "body": COMPLETION}])
    async with Agent(models.get("m")).run_stream("Hi") as result:
        assert await result.get_output() == "Hello"
    assert (result.usage.input_tokens, result.usage.output_tokens) == (3, 2)
    assert result.response.thinking == "Hm"


CALL = {"index": 0, "id": "c", "function": {"name": "add", "arguments": '{"n":'}}
REST = {"index": 0, "function": {"arguments": " 2}"}}


def stream(*deltas: Any, usage: Any = None) -> str:
    """Return the text of a stream of chunks with these deltas."""
    chunks: list[Any] = [
        {"id": "1", "model": "m", "choices": [{"delta": delta}]} for delta in deltas
    ]
    events: list[Any] = [*chunks, {"choices": [], "usage": usage}]
    return sse_body(*events)


def adding(models: ModelRegistry, received: list[int]) -> Agent[None, str]:
    """Return an agent whose tool `add` records its argument."""

    def add(n: int) -> str:
        received.append(n)
        return "ok"

    return Agent(models.get("m"), tools=[add])


async def test_stream_is_an_answer_where_none_was_requested(
    upstream: Upstream, models: ModelRegistry
) -> None:
    text = stream({"reasoning_content": "Hm"}, {"content": "Hel"}, {"content": "lo"}, usage=USAGE)
    await upstream.clear()
    await upstream.script("m", [[{"text": ["unused"]}]], [{"raw": text}])

    result = await Agent(models.get("m")).run("Hi")

    [request] = await upstream.requests("m")
    assert not request["body"].get("stream")
    assert result.output == "Hello"
    assert result.response.thinking == "Hm"
    assert (result.usage.input_tokens, result.usage.output_tokens) == (3, 2)


async def test_surrogates_are_joined_where_no_stream_was_requested(
    upstream: Upstream, models: ModelRegistry
) -> None:
    pieces = ("\ud83d", "\ude00", " \ud83d")
    text = stream(*({"reasoning_content": piece} for piece in pieces), {"content": "Hi"})
    await upstream.clear()
    await upstream.script("m", [[{"text": ["unused"]}]], [{"raw": text}])

    result = await Agent(models.get("m")).run("Hi")

    assert (result.output, result.response.thinking) == ("Hi", "😀 \ufffd")


async def test_stream_calls_tools_where_none_was_requested(
    upstream: Upstream, models: ModelRegistry
) -> None:
    await upstream.clear()
    text = stream({"tool_calls": [CALL]}, {"tool_calls": [REST]})
    await upstream.script("m", [[{"text": ["Done"]}]], [{"raw": text}])

    received: list[int] = []
    await adding(models, received).run("Hi")
    assert received == [2]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("data: [DONE]\n\n", "model_error"),
        ('data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n', "model_unreachable"),
        ('data: {"error": {"message": "x", "code": "429"}}\n\n', "rate_limited"),
        ('data: {"choices": 1}\n\ndata: [DONE]\n\n', "model_error"),
        ("<h1>Log in</h1>", "model_endpoint"),
    ],
)
async def test_broken_stream_fails_where_none_was_requested(
    upstream: Upstream, models: ModelRegistry, text: str, code: str
) -> None:
    await upstream.clear()
    await upstream.script("m", [[{"text": ["unused"]}]], [{"raw": text}])

    with pytest.raises(Exception) as raised:  # noqa: PT011  (the test checks the failure)
        await Agent(models.get("m")).run("Hi")
    assert failure_of(raised.value).code == code


async def test_stream_without_data_is_retried(upstream: Upstream, models: ModelRegistry) -> None:
    failure = await failure_for(upstream, models, raw="data: [DONE]\n\n")
    assert (failure.code, failure.worker_retries) == ("model_error", True)


async def test_whole_completion_calls_tools(upstream: Upstream, models: ModelRegistry) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"n": 2}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = {**COMPLETION, "choices": [{"message": message, "finish_reason": "tool_calls"}]}
    await upstream.clear()
    await upstream.script("m", [[{"text": ["Done"]}]], [{"status": 200, "body": body}])

    received: list[int] = []
    async with adding(models, received).run_stream("Hi") as result:
        assert await result.get_output() == "Done"
    assert received == [2]


async def report_of(redis: Redis, base_url: str) -> ProviderReport:
    with capture_logs() as logs:
        await HealthProbe(redis, LiveSettings(settings(base_url)), "w").probe_all()
    assert "sk-secret" not in str(logs)
    [report] = await ProviderReports(redis, ttl=1).read(["openai"])
    return report


async def test_wrong_path_is_reported_by_health_and_chat(redis: Redis, upstream: Upstream) -> None:
    wrong = f"{upstream.url}/wrong/v1"
    report = await report_of(redis, wrong)
    assert (report.healthy, report.error) == (False, "model_endpoint")
    assert report.detail

    registry = ModelRegistry(LiveSettings(settings(wrong)))
    with pytest.raises(Exception) as raised:  # noqa: PT011  (the test checks the failure)
        await Agent(registry.get("m")).run("Hi")
    await registry.close()
    assert failure_of(raised.value).code == "model_endpoint"


async def test_report_of_the_right_path_is_healthy(redis: Redis, upstream: Upstream) -> None:
    await upstream.clear()
    await upstream.script("m", [[{"text": ["x"]}]])
    report = await report_of(redis, upstream.base_url)
    assert (report.healthy, report.error, report.models) == (True, None, ("m",))
