"""The worker's models over HTTP: what stands in for one that fails, and settings that change."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Generator
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
from worker.models.failures import failure_of
from worker.models.registry import ModelRegistry
from worker.models.stream_timeouts import timeouts_of

FALLBACKS = {"a": ("b", "own/c")}


@pytest.fixture(scope="module")
def upstream() -> Generator[Upstream]:
    server = Upstream()
    server.start()
    yield server
    server.stop()


def settings(upstream: Upstream, *, key: str = "k", **more: Any) -> Settings:
    return Settings(
        openai=OpenAISettings(
            api_key=SecretStr(key), base_url=upstream.base_url, default_model="a", **more
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


async def ask(models: ModelRegistry, name: str = "a") -> str:
    async with Agent(models.get(name)).run_stream("Hi") as result:
        return await result.get_output()


def client_of(models: ModelRegistry, name: str = "b") -> AsyncOpenAI:
    return cast("Any", models.get(name)).endpoint.client


async def failing(upstream: Upstream, name: str, **failure: Any) -> None:
    await upstream.script(name, [[{"text": [name]}]], [failure])


STAND_IN = [{"status": 429, "headers": {"retry-after": "30"}}, {"status": 500}, {"status": 401}]


@pytest.mark.parametrize("failure", [*STAND_IN, {"cut_before_headers": True}, {"cut_after": 0}])
async def test_another_model_answers_at_once_for_one_that_fails(
    upstream: Upstream, models: ModelRegistry, failure: dict[str, Any]
) -> None:
    await failing(upstream, "a", **failure)

    assert await ask(models) == "b"
    assert await ask(models) == "a"


async def test_the_chain_is_gone_through_in_its_order(
    upstream: Upstream, models: ModelRegistry
) -> None:
    await failing(upstream, "a", status=503)
    await failing(upstream, "b", status=503)

    assert await ask(models) == "c"


async def test_a_request_that_is_wrong_itself_is_asked_of_nobody_else(
    upstream: Upstream, models: ModelRegistry
) -> None:
    await failing(upstream, "a", status=400)

    with pytest.raises(Exception) as failed:  # noqa: PT011  (its failure is what is tested)
        await ask(models)

    assert failure_of(failed.value).code == "model_rejected"
    assert await upstream.requests("b") == []


async def test_once_an_answer_has_begun_nobody_takes_over(
    upstream: Upstream, models: ModelRegistry
) -> None:
    await upstream.script("a", [[{"text": ["x", "y"]}]], [{"cut_after": 1}])

    with pytest.raises(Exception) as failed:  # noqa: PT011
        await ask(models)

    assert failure_of(failed.value).retried
    assert await upstream.requests("b") == []


async def test_where_all_fail_the_soonest_to_come_back_counts(
    upstream: Upstream, models: ModelRegistry
) -> None:
    await failing(upstream, "a", status=401)
    await failing(upstream, "b", status=429, headers={"retry-after": "9"})
    await failing(upstream, "c", status=429, headers={"retry-after": "4"})

    with pytest.raises(Exception) as failed:  # noqa: PT011
        await ask(models)

    failure = failure_of(failed.value)
    assert (failure.code, failure.retried, failure.retry_after) == ("rate_limited", True, 4.0)


async def test_a_model_that_says_nothing_in_its_time_is_stood_in_for(upstream: Upstream) -> None:
    await upstream.script("a", [[{"wait": True}, {"text": ["late"]}]])
    await upstream.script("b", [[{"text": ["b"]}]])
    models = ModelRegistry(LiveSettings(settings(upstream, first_token_timeout_seconds=0.3)))

    assert await ask(models) == "b"
    await models.close()


async def test_a_changed_provider_is_asked_anew_while_an_old_answer_goes_on(
    upstream: Upstream,
) -> None:
    live = LiveSettings(settings(upstream))
    models = ModelRegistry(live)
    await upstream.script("a", [[{"text": ["be"]}, {"wait": True}, {"text": ["gun"]}]])
    asking = asyncio.create_task(ask(models))
    await upstream.until("a", lambda seen: bool(seen) and seen[-1]["sent"] == 1)
    old = client_of(models)

    live.replace(settings(upstream, key="another"))
    await upstream.script("b", [[{"text": ["new"]}]])

    assert await ask(models, "b") == "new"
    assert not old.is_closed()
    await upstream.release("a")
    assert await asking == "begun"

    async def closed() -> bool:
        gc.collect()
        return old.is_closed()

    await until(closed)
    await models.close()


async def test_what_did_not_change_keeps_its_connections(upstream: Upstream) -> None:
    live = LiveSettings(settings(upstream))
    models = ModelRegistry(live)
    client = client_of(models, "own/c")

    live.replace(settings(upstream, key="another"))

    assert client_of(models, "own/c") is client
    await models.close()


async def test_a_provider_may_come_by_configuration_alone(upstream: Upstream) -> None:
    live = LiveSettings(settings(upstream))
    models = ModelRegistry(live)
    await upstream.script("deep/model", [[{"text": ["late comer"]}]])
    late = {"late": ProviderSettings(base_url=upstream.base_url)}

    live.replace(settings(upstream).model_copy(update={"providers": late}))

    assert await ask(models, "late/deep/model") == "late comer"
    await models.close()


async def test_each_model_of_a_chain_has_its_own_time_to_begin(upstream: Upstream) -> None:
    slow = settings(upstream, first_token_timeout_seconds=7)
    alone = timeouts_of(slow, "c").first_token

    assert timeouts_of(slow, "a").first_token == 7 + 7 + 60
    assert alone == 7


async def test_a_model_without_tools_is_not_sent_any(upstream: Upstream) -> None:
    simple = ProviderSettings(base_url=upstream.base_url, profile=ModelProfileSettings(tools=False))
    models = ModelRegistry(
        LiveSettings(settings(upstream).model_copy(update={"providers": {"own": simple}}))
    )
    await upstream.script("plain", [[{"text": ["fine"]}]])

    def tool() -> str:
        """Never called."""
        return ""

    async with Agent(models.get("own/plain"), tools=[tool]).run_stream("Hi") as result:
        assert await result.get_output() == "fine"
    assert "tools" not in (await upstream.requests("plain"))[-1]["body"]
    await models.close()


async def test_nobody_listens_and_the_stand_in_answers(upstream: Upstream) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    given = Settings(
        openai=OpenAISettings(base_url=nobody, default_model="a"),
        providers={"own": ProviderSettings(base_url=upstream.base_url)},
        models=ModelSettings(fallbacks={"a": ("own/c",)}),
    )
    await upstream.script("c", [[{"text": ["c"]}]])
    models = ModelRegistry(LiveSettings(given))

    assert await ask(models) == "c"
    await models.close()
