"""The model registry over HTTP: fallbacks, timeouts and reloaded settings."""

import asyncio
import gc
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from openai import AsyncOpenAI
from pydantic import SecretStr
from pydantic_ai import Agent

from shared.settings import (
    ModelProfileSettings,
    ModelSettings,
    OpenAISettings,
    ProviderSettings,
    Settings,
)
from shared.settings.live_settings import LiveSettings
from tests.support.processes import free_port
from tests.support.upstream.client import Upstream
from tests.support.wait import until
from worker.models.registry import ModelRegistry
from worker.models.run_failures import failure_of
from worker.models.stream_timeouts import timeouts_of

FALLBACKS = {"a": ("b", "own/c")}


def settings(upstream: Upstream, *, key: str = "k", **openai_settings: Any) -> Settings:
    return Settings(
        openai=OpenAISettings(
            api_key=SecretStr(key), base_url=upstream.base_url, default_model="a", **openai_settings
        ),
        providers={"own": ProviderSettings(base_url=upstream.base_url)},
        models=ModelSettings(fallbacks=FALLBACKS),
    )


@pytest.fixture
async def models(upstream: Upstream) -> AsyncGenerator[ModelRegistry]:
    await upstream.clear()
    for name in ("a", "b", "c"):
        await upstream.script(name, [[{"text": [name]}]])
    models = ModelRegistry(LiveSettings(settings(upstream)))
    yield models
    await models.close()


async def complete(models: ModelRegistry, name: str = "a") -> str:
    async with Agent(models.get(name)).run_stream("Hi") as result:
        return await result.get_output()


def client_of(models: ModelRegistry, name: str = "b") -> AsyncOpenAI:
    return cast("Any", models.get(name)).endpoint.client


async def fail_once(upstream: Upstream, name: str, **failure: Any) -> None:
    await upstream.script(name, [[{"text": [name]}]], [failure])


FALLBACK_FAILURES = [
    {"status": 429, "headers": {"retry-after": "30"}},
    {"status": 500},
    {"status": 401},
]


@pytest.mark.parametrize(
    "failure", [*FALLBACK_FAILURES, {"cut_before_headers": True}, {"cut_after": 0}]
)
async def test_fallback_answers_when_the_model_fails(
    upstream: Upstream, models: ModelRegistry, failure: dict[str, Any]
) -> None:
    await fail_once(upstream, "a", **failure)

    assert await complete(models) == "b"
    assert await complete(models) == "a"


async def test_fallbacks_are_tried_in_order(upstream: Upstream, models: ModelRegistry) -> None:
    await fail_once(upstream, "a", status=503)
    await fail_once(upstream, "b", status=503)

    assert await complete(models) == "c"


async def test_rejected_request_is_not_sent_to_a_fallback(
    upstream: Upstream, models: ModelRegistry
) -> None:
    await fail_once(upstream, "a", status=400)

    with pytest.raises(Exception) as caught:  # noqa: PT011  (the failure is asserted below)
        await complete(models)

    assert failure_of(caught.value).code == "model_rejected"
    assert await upstream.requests("b") == []


async def test_fallback_is_not_used_once_an_answer_has_begun(
    upstream: Upstream, models: ModelRegistry
) -> None:
    await upstream.script("a", [[{"text": ["x", "y"]}]], [{"cut_after": 1}])

    with pytest.raises(Exception) as caught:  # noqa: PT011
        await complete(models)

    assert failure_of(caught.value).worker_retries
    assert await upstream.requests("b") == []


async def test_failure_of_all_models_has_the_shortest_retry_delay(
    upstream: Upstream, models: ModelRegistry
) -> None:
    await fail_once(upstream, "a", status=401)
    await fail_once(upstream, "b", status=429, headers={"retry-after": "9"})
    await fail_once(upstream, "c", status=429, headers={"retry-after": "4"})

    with pytest.raises(Exception) as caught:  # noqa: PT011
        await complete(models)

    failure = failure_of(caught.value)
    assert (failure.code, failure.worker_retries, failure.retry_after) == (
        "rate_limited",
        True,
        4.0,
    )


async def test_fallback_answers_after_the_first_token_timeout(upstream: Upstream) -> None:
    await upstream.script("a", [[{"wait": True}, {"text": ["late"]}]])
    await upstream.script("b", [[{"text": ["b"]}]])
    models = ModelRegistry(LiveSettings(settings(upstream, first_token_timeout_seconds=2)))

    assert await complete(models) == "b"
    await models.close()


async def test_changed_provider_gets_a_new_client_during_an_answer(
    upstream: Upstream,
) -> None:
    live = LiveSettings(settings(upstream))
    models = ModelRegistry(live)
    await upstream.script("a", [[{"text": ["be"]}, {"wait": True}, {"text": ["gun"]}]])
    completion = asyncio.create_task(complete(models))
    await upstream.until("a", lambda requests: bool(requests) and requests[-1]["sent"] == 1)
    old = client_of(models)

    live.replace(settings(upstream, key="another"))
    await upstream.script("b", [[{"text": ["new"]}]])

    assert await complete(models, "b") == "new"
    assert not old.is_closed()
    await upstream.release("a")
    assert await completion == "begun"

    async def closed() -> bool:
        gc.collect()
        return old.is_closed()

    await until(closed)
    await models.close()


async def test_unchanged_provider_keeps_its_client(upstream: Upstream) -> None:
    live = LiveSettings(settings(upstream))
    models = ModelRegistry(live)
    client = client_of(models, "own/c")

    live.replace(settings(upstream, key="another"))

    assert client_of(models, "own/c") is client
    await models.close()


async def test_provider_added_by_a_reload_is_usable(upstream: Upstream) -> None:
    live = LiveSettings(settings(upstream))
    models = ModelRegistry(live)
    await upstream.script("deep/model", [[{"text": ["late comer"]}]])
    added = {"late": ProviderSettings(base_url=upstream.base_url)}

    live.replace(settings(upstream).model_copy(update={"providers": added}))

    assert await complete(models, "late/deep/model") == "late comer"
    await models.close()


async def test_first_token_timeout_covers_the_fallbacks(upstream: Upstream) -> None:
    slow = settings(upstream, first_token_timeout_seconds=7)
    without_fallbacks = timeouts_of(slow, "c").first_token

    assert timeouts_of(slow, "a").first_token == 7 + 7 + 60
    assert without_fallbacks == 7


async def test_model_without_tool_support_receives_no_tools(upstream: Upstream) -> None:
    without_tools = ProviderSettings(
        base_url=upstream.base_url, profile=ModelProfileSettings(tools=False)
    )
    models = ModelRegistry(
        LiveSettings(settings(upstream).model_copy(update={"providers": {"own": without_tools}}))
    )
    await upstream.script("plain", [[{"text": ["fine"]}]])

    def tool() -> str:
        """Never called."""
        return ""

    async with Agent(models.get("own/plain"), tools=[tool]).run_stream("Hi") as result:
        assert await result.get_output() == "fine"
    assert "tools" not in (await upstream.requests("plain"))[-1]["body"]
    await models.close()


async def test_fallback_answers_when_the_provider_is_unreachable(upstream: Upstream) -> None:
    unreachable = f"http://127.0.0.1:{free_port()}/v1"
    unreachable_settings = Settings(
        openai=OpenAISettings(base_url=unreachable, default_model="a"),
        providers={"own": ProviderSettings(base_url=upstream.base_url)},
        models=ModelSettings(fallbacks={"a": ("own/c",)}),
    )
    await upstream.script("c", [[{"text": ["c"]}]])
    models = ModelRegistry(LiveSettings(unreachable_settings))

    assert await complete(models) == "c"
    await models.close()
