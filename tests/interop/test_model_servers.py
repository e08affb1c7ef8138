"""Answers from model servers by others, with the real AI SDK client."""

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from tests.interop.model_servers.servers import AiMock, LiteLlm
from tests.support.ai_client.driver import AiClient, Json, Result
from tests.support.processes import Api, Valkey, Worker, start_all, stop_all
from tests.support.wait import until

#: LiteLLM takes minutes to install and start on a busy machine.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

MODELS = ["aimock/gpt-5", "litellm/gpt", "litellm/claude", "litellm/gemini"]
LOCATION: Json = {
    "name": "getLocation",
    "description": "Returns the location of the user.",
    "inputSchema": {"type": "object", "properties": {"exact": {"type": "boolean"}}},
}

models = pytest.mark.parametrize("model", MODELS)
#: aimock does not recognize the tool results that LiteLLM sends in Gemini's format.
tool_models = pytest.mark.parametrize("model", MODELS[:3])


@dataclass
class ModelServers:
    aimock: AiMock
    api: Api
    ai: AiClient

    async def send(self, model: str, chat: str, text: str, **body: object) -> Result:
        return await self.ai.send(
            ai="7",
            api=f"{self.api.url}/chat",
            chat=f"{chat}-{model.replace('/', '-')}",
            text=text,
            body={"model": model, **body},
        )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers() -> AsyncGenerator[ModelServers]:
    await LiteLlm.install()
    async with AsyncExitStack() as stack:
        aimock = AiMock()
        litellm = LiteLlm(aimock)
        valkey = Valkey()
        for process in (aimock, litellm, valkey):
            process.start()
            stack.push_async_callback(process.stop)
            await process.ready()
        providers = {
            "aimock": {"base_url": aimock.openai_url},
            "litellm": {"base_url": litellm.openai_url, "api_key": litellm.key},
        }
        env = {"MAMBA_PROVIDERS": json.dumps(providers), "MAMBA_HEALTH__INTERVAL_SECONDS": "1"}
        api = Api(valkey.url, env)
        worker = Worker(valkey.url, aimock.openai_url, env)
        stack.push_async_callback(stop_all, api, worker)
        await start_all(api, worker)
        ai = await stack.enter_async_context(AiClient())
        yield ModelServers(aimock, api, ai)


@models
async def test_text_answer(servers: ModelServers, model: str) -> None:
    result = await servers.send(model, "hello", "Say hello")

    assert (result.status, result.error) == ("ready", None)
    assert result.text == "Hello from the model server."


async def test_mocked_response_of_litellm(servers: ModelServers) -> None:
    result = await servers.send("litellm/mocked", "mocked", "Anything")

    assert (result.status, result.error) == ("ready", None)
    assert result.text == "Hello from the model server."


@models
async def test_reasoning_is_separate_from_the_text(servers: ModelServers, model: str) -> None:
    result = await servers.send(model, "reasoning", "Think first")

    assert (result.status, result.error) == ("ready", None)
    assert result.message
    parts = [part for part in result.message["parts"] if part["type"] in ("reasoning", "text")]
    assert [(part["type"], part["text"]) for part in parts] == [
        ("reasoning", "Six times seven."),
        ("text", "The result is 42."),
    ]


@tool_models
async def test_client_tool_result_continues_the_answer(servers: ModelServers, model: str) -> None:
    page = await servers.send(model, "tool", "Where am I?", clientTools=[LOCATION])
    assert (page.status, page.error) == ("ready", None)

    done = await servers.ai.answer(
        ai="7",
        api=f"{servers.api.url}/chat",
        chat=f"tool-{model.replace('/', '-')}",
        body={"model": model, "clientTools": [LOCATION]},
        messages=page.messages,
        answers={"call_location": {"output": {"city": "Lisbon"}}},
    )

    assert (done.status, done.error) == ("ready", None)
    assert done.text == "You are in Lisbon."


@models
async def test_unknown_question_fails_with_a_code(servers: ModelServers, model: str) -> None:
    result = await servers.send(model, "unknown", "No fixture has this text")

    assert result.status == "error"
    assert result.error


async def test_models_of_the_servers_are_listed(servers: ModelServers) -> None:
    async with httpx.AsyncClient(base_url=servers.api.url, timeout=60, trust_env=False) as client:

        async def listed() -> set[str]:
            models = (await client.get("/models")).raise_for_status().json()["models"]
            ids = {model["id"] for model in models}
            return ids if {"litellm/gpt", "litellm/claude", "litellm/gemini"} <= ids else set()

        assert any(name.startswith("aimock/") for name in await until(listed, seconds=60))
