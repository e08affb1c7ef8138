"""Logs of real processes: they follow a request through the system and hold no user content."""

import json
import re
from collections.abc import AsyncGenerator
from hashlib import sha256
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.processes import Api, ServerProcess, Valkey, Worker, start_all, stop_all
from tests.support.sse_client import Json
from tests.support.system.running_system import System
from tests.support.tracing.traced import log_lines
from tests.support.upstream.client import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Part of all content that must not appear in a log.
MARK = "marker7f3a"
HEADERS = {
    "authorization": f"Bearer {MARK}-token",
    "x-api-key": f"{MARK}-key",
    "cookie": f"session={MARK}-cookie",
}
ECHO: Json = {"error": {"message": f"Wrong key {MARK}-key for: {MARK}-prompt", "code": "x"}}
FAILURES: list[Json] = [
    {"status": 401, "body": ECHO},
    {"status": 400, "body": ECHO},
    {"status": 429, "body": ECHO, "headers": {"retry-after": "0"}},
    {"status": 500, "body": ECHO},
    {"cut_before_headers": True},
    {"cut_after": 1},
]


@pytest_asyncio.fixture(loop_scope="session")
async def debug_system(upstream: Upstream) -> AsyncGenerator[System]:
    """One API and one worker that log everything at level DEBUG, including libraries."""
    env = {
        "MAMBA_LOGGING__LEVEL": "DEBUG",
        "MAMBA_RUN__MAX_RETRIES": "1",
        "MAMBA_WORKER__LEASE_SECONDS": "60",
    }
    valkey = Valkey()
    api = Api(valkey.url, env)
    worker = Worker(valkey.url, upstream.base_url, {**env, "MAMBA_OPENAI__API_KEY": f"sk-{MARK}"})
    valkey.start()
    await valkey.ready()
    try:
        await start_all(api, worker)
        yield System(valkey, upstream, [api], [worker])
    finally:
        await stop_all(api, worker)
        await stop_all(valkey)


def body(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": f"{MARK}-prompt"}], **more}


async def ask(
    client: httpx.AsyncClient, request_id: str, content: dict[str, Any] | bytes
) -> httpx.Response:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = {"x-request-id": request_id, "content-type": "application/json"}
    return await client.post("/chat", content=data, headers=headers)


async def wait_for_line(process: ServerProcess, event: str, request_id: str) -> None:
    async def probe() -> bool:
        found = [line for line in log_lines(process) if line.get("request_id") == request_id]
        return event in [line["event"] for line in found]

    await until(probe)


async def test_request_id_appears_in_api_and_worker_logs(debug_system: System, name: str) -> None:
    await debug_system.upstream.script(name, [[{"text": ["Hello"]}]])
    api, worker = debug_system.apis[0], debug_system.workers[0]

    async with httpx.AsyncClient(base_url=api.url, timeout=30) as client:
        response = await ask(client, name, body(name))
    await wait_for_line(api, "request.finished", name)
    await wait_for_line(worker, "run.ended", name)

    assert response.headers["x-request-id"] == name
    run_id = response.headers["x-run-id"]
    api_lines = [line for line in log_lines(api) if line.get("request_id") == name]
    assert [line["event"] for line in api_lines] == [
        "run.accepted",
        "stream.opened",
        "request.finished",
    ]
    assert api_lines[-1]["outcome"] == "complete"
    assert api_lines[-1]["route"] == "/chat"
    assert api_lines[-1]["bytes"] == len(response.content)
    worker_lines = [line for line in log_lines(worker) if line.get("request_id") == name]
    assert [line["event"] for line in worker_lines] == ["run.attempt", "run.ended"]
    assert {line["run_id"] for line in (*api_lines, *worker_lines)} == {run_id}
    assert len({line["chat"] for line in api_lines}) == 1
    ended = worker_lines[-1]
    assert (ended["state"], ended["agent"], ended["model"]) == ("succeeded", "chat", name)
    assert ended["duration_ms"] >= 0
    assert 0 <= ended["wait_ms"] <= ended["first_token_ms"]
    assert ended["worker_id"].split("-")[-2] == str(worker.child.pid)
    assert ended["output_tokens"] >= 0


async def test_logs_contain_no_user_content_and_no_secrets(debug_system: System, name: str) -> None:
    upstream, api, worker = debug_system.upstream, debug_system.apis[0], debug_system.workers[0]
    await upstream.script(name, [[{"text": [f"{MARK}-answer"]}]])
    form = {"id": "t", "name": "generateForm", "arguments": f'{{"{MARK}": 1'}
    await upstream.script(f"{name}-tool", [[{"tool": form}], [{"text": ["done"]}]])
    for index, failure in enumerate(FAILURES):
        await upstream.script(
            f"{name}-{index}", [[{"text": [f"{MARK}-a", "b"]}]], [failure, failure]
        )
    url = f"https://{MARK}.example/picture.png"
    file = {"type": "file", "mediaType": f"image/{MARK}", "url": url}

    async with httpx.AsyncClient(base_url=api.url, headers=HEADERS, timeout=30) as client:
        good = await ask(client, "good", body(name, id=f"{MARK}-chat"))
        assert f"{MARK}-answer" in good.text
        await ask(client, "tool", body(f"{name}-tool", tools=["generateForm"]))
        for index in range(len(FAILURES)):
            await ask(client, f"failure-{index}", body(f"{name}-{index}"))
        message = {"role": "user", "parts": [file]}
        await ask(client, "file", body(name, messages=[message]))
        refused = [
            await ask(client, "refused-1", body(name, agent=f"{MARK}-agent")),
            await ask(client, "refused-2", body(name, tools=[f"{MARK}-tool"])),
            await ask(client, "refused-3", f'{{"messages": "{MARK}"'.encode()),
            await client.get(f"/chat/{MARK}/stream", headers={"last-event-id": MARK}),
            await client.post(f"/chat/{MARK}/stop", headers={"x-request-id": "last"}),
            await client.get(f"/{MARK}?secret={MARK}"),
        ]
    await wait_for_line(api, "request.finished", "last")
    for request_id in ("good", "tool", *(f"failure-{index}" for index in range(len(FAILURES)))):
        await wait_for_line(worker, "run.ended", request_id)

    assert [response.status_code for response in refused] == [422, 422, 422, 422, 404, 404]
    assert "debug" in [line["level"] for line in log_lines(api)]
    for process in (api, worker):
        leaking = [line for line in process.output.splitlines() if MARK in line]
        assert not leaking


async def test_no_route_logs_its_input(debug_system: System, name: str) -> None:
    api, worker = debug_system.apis[0], debug_system.workers[0]
    await debug_system.upstream.script(name, [[{"text": [f"{MARK}-answer"]}]])
    async with httpx.AsyncClient(base_url=api.url, headers=HEADERS, timeout=30) as client:
        schema = (await client.get("/openapi.json")).json()
        routes = [(m, path) for path, item in schema["paths"].items() for m in item]
        routes += [("get", "/ops/runs/{run_id}"), ("post", "/ops/runs/{run_id}/stop")]
        for method, path in routes:
            url = re.sub(r"\{\w+\}", MARK, path)
            for content in (b"", json.dumps(body(name)).encode(), f'["{MARK}'.encode()):
                query, json_type = {"agent": MARK, MARK: MARK}, {"content-type": "application/json"}
                await client.request(method, url, params=query, content=content, headers=json_type)
        for headers in ({"last-event-id": MARK}, {"idempotency-key": MARK}, {"accept": MARK}):
            await client.get(f"/chat/{MARK}/stream", headers=headers)
            await client.post("/chat", json=body(name), headers=headers)
        await _use_every_feature(client, name)
        await client.get("/health/live", headers={"x-request-id": f"{name}-last"})
    await wait_for_line(api, "request.finished", f"{name}-last")
    await wait_for_line(worker, "run.ended", f"{name}-superseding")

    for process in (api, worker):
        assert not [line for line in process.output.splitlines() if MARK in line]


async def _use_every_feature(client: httpx.AsyncClient, model: str) -> None:
    """Chats of the AI SDK with an idempotency key, titles, superseded and stopped chats."""
    part = {"type": "text", "text": f"{MARK}-prompt"}
    tool = {
        "type": "tool-look",
        "toolCallId": "c",
        "state": "output-available",
        "input": {"up": f"{MARK}-input"},
        "output": f"{MARK}-output",
    }
    messages = [
        {"id": "1", "role": "user", "parts": [part]},
        {"id": "2", "role": "assistant", "parts": [{"type": "step-start"}, tool, part]},
        {"id": "3", "role": "user", "parts": [part], "metadata": {MARK: MARK}},
    ]
    chat = {"id": f"{MARK}-chat", "model": model, "messages": messages, "supersede": True}
    key = {"idempotency-key": f"{MARK}-key"}
    for _ in range(2):
        response = await client.post("/chat", json=chat, headers=key)
        assert f"{MARK}-answer" in response.text
    mismatch = await client.post("/chat", json={**chat, "messages": messages[2:]}, headers=key)
    assert mismatch.status_code == 422
    for title in ({"message": f"{MARK}-title"}, {"messages": messages}):
        assert (await client.post("/title/generate", json=title)).status_code == 200
    await client.get(f"/chat/{MARK}-chat/stream")
    await client.post(f"/chat/{MARK}-chat/stop")
    headers = {"x-request-id": f"{model}-superseding"}
    await client.post("/chat", json=chat, headers=headers)


async def test_owner_appears_in_logs_only_as_a_hash(debug_system: System, name: str) -> None:
    owner = "ada@example.com"
    keys = [{"name": "app", "key": f"{name}-0123456789abcdef", "owner": owner}]
    env = {"MAMBA_AUTH__MODE": "api_key", "MAMBA_AUTH__API_KEYS": json.dumps(keys)}
    api, [worker] = Api(debug_system.valkey.url, env), debug_system.workers
    await debug_system.upstream.script(name, [[{"text": ["Hello"]}]])
    try:
        await start_all(api)
        headers = {"authorization": f"Bearer {name}-0123456789abcdef"}
        async with httpx.AsyncClient(base_url=api.url, headers=headers, timeout=30) as client:
            await ask(client, name, body(name, id="chat-of-ada"))
        await wait_for_line(api, "request.finished", name)
        await wait_for_line(worker, "run.ended", name)
        lines, output = log_lines(api), api.output + worker.output
    finally:
        await stop_all(api)

    accepted = next(line for line in lines if line["event"] == "run.accepted")
    assert accepted["owner"] == sha256(b"api_key::ada%40example.com").hexdigest()[:12]
    assert accepted["chat"] == sha256(b"chat-of-ada").hexdigest()[:12]
    assert owner not in output
    assert "chat-of-ada" not in output


async def test_include_body_logs_request_bodies(debug_system: System, name: str) -> None:
    api = Api(debug_system.valkey.url, {"MAMBA_LOGGING__INCLUDE_BODY": "true"})
    await debug_system.upstream.script(name, [[{"text": ["Hello"]}]])
    try:
        await start_all(api)
        async with httpx.AsyncClient(base_url=api.url, headers=HEADERS, timeout=30) as client:
            await ask(client, name, body(name))
        await wait_for_line(api, "request.body", name)
        events = [line["event"] for line in log_lines(api)]
        bodies = [line["body"] for line in log_lines(api) if line["event"] == "request.body"]
        output = api.output
    finally:
        await stop_all(api)

    assert "api.bodies_logged" in events
    assert json.loads(bodies[0]) == body(name)
    assert not any(value in output for value in HEADERS.values())
