"""The backends of the documentation: receivers of webhooks, and a route that follows a run."""

import asyncio
import json
import os
import subprocess
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from standardwebhooks.webhooks import Webhook

from tests.support.ai_client.driver import Json
from tests.support.ai_client.stored_message import comparable_message, read_stored_message
from tests.support.chat_page.documented_code import FOLDER, blocks
from tests.support.system.running_system import System
from tests.support.webhook_receiver import SECRET
from web.node import find_node

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVENT: Json = {"type": "run.succeeded", "data": {"messageId": "msg_1"}}
FORGED: Json = {"type": "run.failed", "data": {}}


class RouteCalls(BaseModel):
    responses: list[Json]
    #: The arguments of each call of the application's store.
    stored: list[list[Any]]

    @property
    def statuses(self) -> list[int]:
        return [response["status"] for response in self.responses]


def signed(event: Json) -> dict[str, str]:
    """Return the headers of a webhook, signed by the reference library."""
    now = datetime.now(UTC)
    signature = Webhook(SECRET).sign("evt_1", now, json.dumps(event))
    timestamp = str(int(now.timestamp()))
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": timestamp,
        "webhook-signature": signature,
    }


async def test_python_receiver_stores_only_signed_events(monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[tuple[str, Json]] = []

    async def store_once(event_id: str, event: Json) -> None:
        stored.append((event_id, event))

    [code] = blocks("webhooks", "python")
    monkeypatch.setenv("MAMBA_WEBHOOK_SECRET", SECRET)
    module: dict[str, Any] = {"store_once": store_once}
    exec(code, module)

    transport = httpx.ASGITransport(module["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        responses = [
            await client.post("/api/mamba", content=json.dumps(event), headers=signed(EVENT))
            for event in (EVENT, FORGED)
        ]

    assert [response.status_code for response in responses] == [204, 401]
    assert stored == [("evt_1", EVENT)]


async def test_next_js_receiver_stores_only_signed_events() -> None:
    receiver, _ = blocks("webhooks", "js")
    requests = [{"headers": signed(EVENT), "body": json.dumps(event)} for event in (EVENT, FORGED)]

    called = await call_route(receiver, requests, MAMBA_WEBHOOK_SECRET=SECRET)

    assert called.statuses == [204, 401]
    assert called.stored == [["evt_1", EVENT]]


async def test_next_js_route_stores_the_answer(system: System, name: str) -> None:
    _, route = blocks("webhooks", "js")
    await system.upstream.script(name, [[{"text": ["Hel", "lo"]}]])
    body = {"id": name, "model": name, "messages": [{"role": "user", "content": "Hi"}]}
    request = {"headers": {"idempotency-key": name}, "body": json.dumps(body)}

    called = await call_route(route, [request, request], MAMBA_URL=system.apis[0].url)

    assert called.statuses == [200, 200]
    assert "Hel" in called.responses[0]["body"]
    message = await read_stored_message(f"{system.chat}/{name}/message")
    assert [(chat, comparable_message(stored)) for chat, stored in called.stored] == [
        (name, message)
    ] * 2
    assert len(await system.upstream.requests(name)) == 1


async def call_route(code: str, requests: list[Json], **env: str) -> RouteCalls:
    """Send requests to a route of Next.js in Node.js."""
    node = find_node()
    node.install(FOLDER)
    ended = await asyncio.to_thread(
        subprocess.run,
        [node.path, FOLDER / "call_route.mjs"],
        input=json.dumps({"code": code, "requests": requests}),
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return RouteCalls.model_validate_json(ended.stdout)
