"""The settings of a request in the requests to the model, for agents of each kind."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic_ai import Agent
from pydantic_ai.settings import ModelSettings

from shared.settings import OpenAISettings, Settings
from shared.settings.live_settings import LiveSettings
from tests.support.run_chat_harness import RunChatHarness, error_code, start
from tests.support.upstream.client import Upstream
from worker.models.registry import ModelRegistry

pytestmark = pytest.mark.usefixtures("no_pauses")

SETTINGS: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "max_output_tokens": 100,
    "stop_sequences": ["END"],
    "seed": 7,
}


@pytest.fixture
async def models(upstream: Upstream) -> AsyncGenerator[ModelRegistry]:
    openai = OpenAISettings(api_key=SecretStr("key"), base_url=upstream.base_url, kind="openai")
    models = ModelRegistry(LiveSettings(Settings(openai=openai)))
    yield models
    await models.close()


async def sent(
    harness: RunChatHarness, models: ModelRegistry, upstream: Upstream, model: str, **settings: Any
) -> dict[str, Any]:
    """Run a job with these settings, and return the request that the model received."""
    await upstream.script(model, [[{"text": ["Hello"]}]])
    await start(harness.runner(models=models), model=model, settings=settings)
    *_, request = await upstream.requests(model)
    return request["body"]


async def test_settings_reach_the_model(
    harness: RunChatHarness, models: ModelRegistry, upstream: Upstream
) -> None:
    body = await sent(harness, models, upstream, "gpt-4o", **SETTINGS)

    expected = {
        **{name: value for name, value in SETTINGS.items() if "_tokens" not in name},
        "max_completion_tokens": 100,
        "stop": ["END"],
    }
    del expected["stop_sequences"]
    assert {name: body.get(name) for name in expected} == expected


@pytest.mark.parametrize(("requested", "limit"), [(100, 64), (50, 50)])
async def test_request_can_only_lower_the_agents_limit(
    harness: RunChatHarness,
    models: ModelRegistry,
    upstream: Upstream,
    requested: int,
    limit: int,
) -> None:
    own = ModelSettings(max_tokens=64, temperature=1.0, parallel_tool_calls=False)
    harness.agent = Agent(name="chat", model_settings=own)

    body = await sent(
        harness, models, upstream, "gpt-4o", max_output_tokens=requested, temperature=0
    )

    assert (body["max_completion_tokens"], body["temperature"]) == (limit, 0)


async def test_reasoning_model_receives_the_effort_but_no_sampling(
    harness: RunChatHarness, models: ModelRegistry, upstream: Upstream
) -> None:
    with pytest.warns(UserWarning, match="temperature"):
        body = await sent(harness, models, upstream, "o3", temperature=0.5, reasoning_effort="high")

    assert body["reasoning_effort"] == "high"
    assert "temperature" not in body


async def test_run_fails_if_the_server_rejects_a_setting(
    harness: RunChatHarness, models: ModelRegistry, upstream: Upstream
) -> None:
    await upstream.script("strict", [[]], [{"status": 400}])

    await start(harness.runner(models=models), model="strict", settings={"temperature": 2})

    assert error_code(await harness.log()) == "model_rejected"


async def test_job_without_settings_sends_none(
    harness: RunChatHarness, models: ModelRegistry, upstream: Upstream
) -> None:
    body = await sent(harness, models, upstream, "plain")

    assert not {"temperature", "top_p", "seed", "stop", "max_completion_tokens"} & {*body}
