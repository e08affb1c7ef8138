"""Titles with a real API, queue and workers, and reasoning of OpenAI-compatible servers."""

import asyncio
from typing import Any

import httpx
import pytest

from shared.redis import keys
from tests.support.processes import Api, start_all, stop_all
from tests.support.system.running_system import System
from tests.support.upstream.quirks import SERVERS
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

HI = {"role": "user", "content": "How do I write a queue in Python?"}


async def title(system: System, **body: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=system.apis[0].url, timeout=20) as client:
        response = await client.post("/title/generate", json={"messages": [HI], **body})
    assert response.status_code == 200, response.text
    return response.json()


async def title_keys(system: System) -> list[bytes]:
    async with system.redis() as redis:
        return [
            key
            for key in await redis.execute_command("KEYS", "*title*")
            if not key.startswith(keys.lease("").encode())
        ]


async def test_model_generates_a_title_and_leaves_no_keys(system: System, name: str) -> None:
    await system.upstream.script(name, [[{"text": ['"Queues', ' in Python."\n']}]])

    image = {"type": "image_url", "image_url": "broken"}
    older = {"role": "user", "content": [{"type": "text", "text": HI["content"]}, image]}
    generated = await title(system, messages=[older], model=name)
    assert generated == {"title": "Queues in Python", "source": "model"}

    [request] = await system.upstream.requests(name)
    assert HI["content"] in str(request["body"]["messages"])

    async def no_title_keys() -> bool:
        return not await title_keys(system)

    await until(no_title_keys)


async def test_title_of_a_single_message(system: System, name: str) -> None:
    await system.upstream.script(name, [[{"text": ["Queues"]}]])

    generated = await title(system, messages=None, message="How do I write a queue?", model=name)

    assert generated == {"title": "Queues", "source": "model"}


async def test_failing_model_falls_back_to_the_question(system: System, name: str) -> None:
    await system.upstream.script(name, [[{"text": ["x"]}]], [{"status": 500}] * 5)

    generated = await title(system, model=name)

    assert generated == {"title": "How do I write a queue in Python?", "source": "fallback"}
    for question in ("Async patterns in C#", "What is vector<int>"):
        generated = await title(system, messages=None, message=question, model=name)
        assert generated == {"title": question, "source": "fallback"}
    assert len(await system.upstream.requests(name)) == 3


async def test_title_without_workers_is_the_first_message(workerless: System) -> None:
    async with httpx.AsyncClient(base_url=workerless.apis[0].url, timeout=20) as client:
        asking = asyncio.create_task(client.post("/title/generate", json={"messages": [HI]}))
        response = await asking

    assert response.json()["source"] == "fallback"
    assert not await title_keys(workerless)


async def test_title_settings_select_model_length_and_timeout(system: System, name: str) -> None:
    env = {
        "MAMBA_TITLE__MODEL": name,
        "MAMBA_TITLE__MAX_LENGTH": "12",
        "MAMBA_TITLE__TIMEOUT_SECONDS": "6",
    }
    response_script = [{"text": ["Queues in Python"]}]
    await system.upstream.script(name, [response_script])
    api = Api(system.valkey.url, env)
    try:
        await start_all(api)
        async with httpx.AsyncClient(base_url=api.url, timeout=20) as client:
            made = await client.post("/title/generate", json={"messages": [HI]})
            await system.upstream.script(name, [[{"wait": True}, *response_script]])
            late = await client.post("/title/generate", json={"messages": [HI]})
    finally:
        await stop_all(api)

    assert made.json() == {"title": "Queues in…", "source": "model"}
    assert late.json()["source"] == "fallback"


async def test_client_disconnect_cancels_the_model_request(system: System, name: str) -> None:
    await system.upstream.script(name, [[{"wait": True}, {"text": ["late"]}]])
    async with httpx.AsyncClient(base_url=system.apis[0].url, timeout=20) as client:
        asking = asyncio.create_task(
            client.post("/title/generate", json={"messages": [HI], "model": name})
        )
        await system.upstream.until(name, lambda seen: len(seen) == 1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    await system.upstream.until(name, lambda seen: seen[-1]["outcome"] == "client-closed")

    async def no_title_keys() -> bool:
        return not await title_keys(system)

    await until(no_title_keys)


async def test_invalid_title_request_returns_422_with_the_field(system: System) -> None:
    async with httpx.AsyncClient(base_url=system.apis[0].url, timeout=30) as client:
        empty = await client.post("/title/generate", json={})
        role = await client.post("/title/generate", json={"messages": [{"role": "x"}]})

    assert (empty.status_code, empty.json()["code"]) == (422, "invalid_request")
    assert (role.status_code, role.json()["field"]) == (422, "messages[0].role")


@pytest.mark.parametrize("server", SERVERS)
async def test_reasoning_of_every_server_is_shown_as_reasoning(
    system: System, name: str, server: str
) -> None:
    response_script = [{"reasoning": ["I th", "ink"]}, {"text": ["Hel", "lo"]}]
    await system.upstream.script(name, [response_script], quirks=SERVERS[server])

    async with httpx.AsyncClient(timeout=20) as client:
        response = await client.post(system.chat, json={"messages": [HI], "model": name})

    lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: {")]
    events = [httpx.Response(200, text=line).json() for line in lines]
    texts = {
        kind: "".join(event["delta"] for event in events if event["type"] == kind)
        for kind in ("reasoning-delta", "text-delta")
    }
    assert texts == {"reasoning-delta": "I think", "text-delta": "Hello"}
    assert events[-1]["type"] == "finish"
