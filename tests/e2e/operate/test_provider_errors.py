"""What an operator sees of a model server's errors, and workers that survive its responses."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.support.processes import Api
from tests.support.sse_client import SseClient, check_whole, error_code, text
from tests.support.system.commands import mamba
from tests.support.system.running_system import System, kill_process
from tests.support.upstream.client import sse_body
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

MODEL_LISTS = {
    "array": '[{"id": "a"}]',
    "null": '{"data": null}',
    "error": '{"error": "Unexpected endpoint"}',
    "texts": '["a"]',
    "nameless": '{"data": [{"object": "model"}]}',
    "page": "<html>Sign in</html>",
}
SECRET = "a question that no log may contain"


async def test_run_show_names_the_rejected_parameter(
    system: System, sse: SseClient, name: str
) -> None:
    error = {
        "message": f"Unsupported parameter: 'max_tokens' in {SECRET}",
        "type": "invalid_request_error",
        "param": "max_tokens",
        "code": "unsupported_parameter",
    }
    failure = {"status": 400, "body": {"error": error}}
    await system.upstream.script(name, [[{"text": ["unused"]}]], [failure])

    async with sse.ask(system.chat, name, model=name, text=SECRET) as stream:
        events = await stream.rest()
        run_id = stream.run_id
    shown = (await mamba(system, "run", "show", run_id)).out

    assert error_code(events) == "model_rejected"
    assert "status=400" in shown
    assert "param=max_tokens" in shown
    assert "code=unsupported_parameter" in shown
    assert SECRET not in shown
    assert not any(SECRET in worker.output for worker in system.workers)


async def test_doctor_checks_a_provider_live(system: System, name: str) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    choice = {"index": 0, "delta": {"content": "OK"}, "finish_reason": "stop"}
    answer = {"raw": sse_body({"choices": [choice], "usage": usage})}
    await system.upstream.script(name, [[{"text": ["OK"]}]], [answer])
    providers = json.dumps({"scripted": {"base_url": system.upstream.base_url}})

    result = await mamba(
        system,
        *("doctor", "--provider", "scripted", "--model", name, "--json"),
        MAMBA_PROVIDERS=providers,
    )

    found: dict[str, Any] = {finding["part"]: finding for finding in result.json}
    assert found["answer"]["status"] == "ok"


async def test_worker_survives_unreadable_model_lists(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, [[{"text": ["Hel", "lo"]}]])
    async with model_lists() as url, AsyncExitStack() as stack:
        providers = json.dumps({kind: {"base_url": f"{url}/{kind}"} for kind in MODEL_LISTS})
        api = Api(workerless.valkey.url, {"MAMBA_PROVIDERS": providers})
        stack.push_async_callback(kill_process, api)
        api.start()
        [worker] = await stack.enter_async_context(workerless.start_workers(1, PROVIDERS=providers))
        await api.ready()
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=api.url, timeout=30))

        async def unhealthy() -> set[str]:
            components = (await client.get("/health")).json()["components"]
            broken = {k for k in MODEL_LISTS if components.get(k, {}).get("status") == "unhealthy"}
            return broken if broken == set(MODEL_LISTS) else set()

        assert await until(unhealthy, seconds=60)
        events = await sse.answer(f"{api.url}/chat", name, model=name)
        assert worker.child.poll() is None

    check_whole(events)
    assert text(events) == "Hello"


@asynccontextmanager
async def model_lists() -> AsyncGenerator[str]:
    """Serve each list of `MODEL_LISTS` below a path with its name."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        body = MODEL_LISTS[head.split("/")[1]].encode()
        kind = "text/html" if body.startswith(b"<") else "application/json"
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
