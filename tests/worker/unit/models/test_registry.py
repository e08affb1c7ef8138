"""Requests to a model over HTTP: error classification and tolerance of nonstandard chunks."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import httpx2
import pytest
import respx
from openai import AsyncOpenAI
from pydantic import SecretStr
from pydantic_ai import Agent
from pydantic_ai.models.function import FunctionModel

from shared.errors import SettingsError
from shared.settings import OpenAISettings, Settings
from shared.settings.live_settings import LiveSettings
from tests.support.upstream.client import sse_body
from worker.models import openai_client as client_module
from worker.models.registry import ModelRegistry
from worker.models.run_failures import failure_of

URL = "https://model.test/v1/chat/completions"
KEY = "sk-very-secret"
SETTINGS = Settings(openai=OpenAISettings(api_key=SecretStr(KEY), base_url="https://model.test/v1"))


def live(openai: OpenAISettings) -> LiveSettings:
    return LiveSettings(Settings(openai=openai))


@pytest.fixture
def upstream() -> respx.Router:
    return respx.Router(assert_all_called=False)


@pytest.fixture(autouse=True)
def http_transport(upstream: respx.Router, monkeypatch: pytest.MonkeyPatch) -> None:
    """Route the SDK's httpx2 client to respx, which supports only httpx."""

    async def handle(request: httpx2.Request) -> httpx2.Response:
        content = await request.aread()
        plain = httpx.Request(
            request.method, str(request.url), headers=request.headers.raw, content=content
        )
        try:
            response = await upstream.async_handler(plain)
        except httpx.ConnectError as error:
            raise httpx2.ConnectError(str(error)) from None
        except httpx.ReadTimeout as error:
            raise httpx2.ReadTimeout(str(error)) from None
        return httpx2.Response(
            response.status_code, headers=response.headers.raw, content=response.content
        )

    def client(**_: Any) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.MockTransport(handle))

    monkeypatch.setattr(client_module, "LimitedClient", client)


@pytest.fixture
async def models(http_transport: None) -> AsyncGenerator[ModelRegistry]:  # noqa: ARG001
    models = ModelRegistry(LiveSettings(SETTINGS))
    yield models
    await models.close()


def chunk(**delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }


def stream(*chunks: dict[str, Any]) -> httpx.Response:
    headers = {"content-type": "text/event-stream"}
    return httpx.Response(200, text=sse_body(*chunks), headers=headers)


async def ask(models: ModelRegistry, name: str = "m") -> str:
    async with Agent(models.get(name)).run_stream("Hi") as result:
        return await result.get_output()


async def failure_code(models: ModelRegistry) -> tuple[str, bool, float | None]:
    with pytest.raises(Exception) as caught:  # noqa: PT011  (the test checks the failure)
        await ask(models)
    assert KEY not in str(caught.value)
    failure = failure_of(caught.value)
    return failure.code, failure.worker_retries, failure.retry_after


async def test_request_carries_the_api_key(models: ModelRegistry, upstream: respx.Router) -> None:
    route = upstream.post(URL).mock(stream(chunk(content="Hel"), chunk(content="lo")))

    assert await ask(models) == "Hello"
    request = route.calls.last.request
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(request.content)["model"] == "m"


@pytest.mark.parametrize(
    ("requested", "sent"), [("openai/m", "m"), ("m", "m"), ("meta/llama", "meta/llama")]
)
async def test_provider_prefix_is_not_sent(
    models: ModelRegistry, upstream: respx.Router, requested: str, sent: str
) -> None:
    route = upstream.post(URL).mock(stream(chunk(content="Hello")))

    await ask(models, requested)

    assert json.loads(route.calls.last.request.content)["model"] == sent


STATUSES = [
    (400, "model_rejected", False),
    (401, "model_auth", False),
    (403, "model_auth", False),
    (404, "model_endpoint", False),
    (422, "model_rejected", False),
    (429, "rate_limited", True),
    (500, "model_error", True),
    (502, "model_error", True),
    (503, "model_unavailable", True),
    (529, "model_unavailable", True),
]


@pytest.mark.parametrize(("status", "code", "retried"), STATUSES)
async def test_client_errors_are_classified_and_not_retried(
    models: ModelRegistry, upstream: respx.Router, status: int, code: str, *, retried: bool
) -> None:
    body = {"error": {"message": "no", "type": "t"}}
    route = upstream.post(URL).mock(httpx.Response(status, json=body))

    assert await failure_code(models) == (code, retried, None)
    assert route.call_count == 1


async def test_retry_after_header_sets_the_retry_delay(
    models: ModelRegistry, upstream: respx.Router
) -> None:
    upstream.post(URL).mock(httpx.Response(429, json={}, headers={"retry-after": "3"}))

    assert await failure_code(models) == ("rate_limited", True, 3.0)


async def test_exhausted_quota_is_not_retried(
    models: ModelRegistry, upstream: respx.Router
) -> None:
    error = {"error": {"code": "insufficient_quota", "message": "no", "type": "t"}}
    upstream.post(URL).mock(httpx.Response(429, json=error))

    assert await failure_code(models) == ("quota_exceeded", False, None)


async def test_refused_connection_is_retried(models: ModelRegistry, upstream: respx.Router) -> None:
    upstream.post(URL).mock(side_effect=httpx.ConnectError("refused"))

    assert await failure_code(models) == ("model_unreachable", True, None)


async def test_read_timeout_is_retried(models: ModelRegistry, upstream: respx.Router) -> None:
    upstream.post(URL).mock(side_effect=httpx.ReadTimeout("silence"))

    assert await failure_code(models) == ("model_timeout", True, None)


NONSTANDARD: dict[str, dict[str, Any]] = {
    "without an id": {"choices": [{"index": 0, "delta": {"content": "Hello"}}]},
    "with a strange finish reason": {
        **chunk(),
        "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "eos"}],
    },
    "with a strange object": {**chunk(content="Hello"), "object": "chunk"},
    "with unknown keys": {**chunk(content="Hello"), "x_groq": {"id": 1}},
}


@pytest.mark.parametrize("nonstandard", NONSTANDARD.values(), ids=NONSTANDARD.keys())
async def test_nonstandard_chunk_is_accepted(
    models: ModelRegistry, upstream: respx.Router, nonstandard: dict[str, Any]
) -> None:
    upstream.post(URL).mock(stream(nonstandard, chunk(content="!")))

    assert await ask(models) == "Hello!"


async def test_standard_chunk_skips_sdk_validation(
    models: ModelRegistry, upstream: respx.Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: object, **__: object) -> None:
        raise AssertionError

    upstream.post(URL).mock(stream(chunk(content="Hello")))
    monkeypatch.setattr(AsyncOpenAI, "_process_response_data", slow)

    assert await ask(models) == "Hello"


async def test_api_key_is_in_no_repr(models: ModelRegistry) -> None:
    model = models.get("m")

    for value in (SETTINGS, models, vars(models), model, vars(model), model.settings):
        assert KEY not in repr(value)


async def test_demo_model_serves_every_model_name() -> None:
    models = ModelRegistry(live(OpenAISettings(demo=True)))

    assert isinstance(models.get("openai/gpt-4o"), FunctionModel)
    assert models.get("a") is models.get("b")
    await models.close()


async def test_model_is_created_once(models: ModelRegistry) -> None:
    assert models.get("m") is models.get("openai/m")


def test_missing_configuration_error_names_the_setting() -> None:
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        ModelRegistry(live(OpenAISettings()))


async def test_base_url_is_sufficient_configuration() -> None:
    models = ModelRegistry(live(OpenAISettings(base_url="https://model.test/v1")))

    assert models.get("m")
    await models.close()
