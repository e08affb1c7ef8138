"""Pauses of the console's operator: their effect on requests, `/health`, `/metrics` and the log."""

import json
from collections.abc import AsyncGenerator, Generator
from typing import Any

import httpx
import pytest

from shared.processes.workers import WorkerRegistry
from shared.redis.client import Redis
from tests.support.fakes.workers import record
from tests.support.processes import Api, Valkey, running
from tests.support.wait import until

ENV = {"MAMBA_HEALTH__INTERVAL_SECONDS": "1", "MAMBA_OPENAI__DEMO": "true"}
CHAT = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def api(valkey: Valkey) -> Generator[Api]:
    with running(Api(valkey.url, ENV)) as process:
        yield process


@pytest.fixture
async def client(api: Api, redis: Redis) -> AsyncGenerator[httpx.AsyncClient]:
    await WorkerRegistry(redis, alive_seconds=600).renew(record("w"))
    async with httpx.AsyncClient(base_url=api.url, timeout=20) as client:
        yield client


async def command(client: httpx.AsyncClient, path: str) -> str:
    response = await client.post(f"/ops/{path}")
    assert response.status_code == 200, response.text
    return response.json()["detail"]


async def status_of_chat(client: httpx.AsyncClient) -> int:
    async with client.stream("POST", "/chat", json=CHAT) as response:
        return response.status_code


async def wait_for_health(client: httpx.AsyncClient, status: str, detail: str) -> None:
    """Wait until `/health` reports the queue like this."""

    async def is_reported() -> bool:
        queue = (await client.get("/health")).json()["components"]["queue"]
        return (queue["status"], queue["detail"]) == (status, detail)

    await until(is_reported)


async def test_paused_intake_is_a_503_with_a_code_and_retry_after(
    client: httpx.AsyncClient,
) -> None:
    assert await command(client, "pause/intake") == "The intake of all queues is paused."

    refused = await client.post("/chat", json=CHAT)
    assert await command(client, "resume/intake") == "The intake of all queues has resumed."

    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "30"
    assert refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert problem["code"] == "intake_paused"
    assert problem["detail"] == "New messages are not accepted at the moment. Try again later."
    assert await status_of_chat(client) == 200


async def test_paused_processing_accepts_chats(client: httpx.AsyncClient) -> None:
    detail = await command(client, "pause/processing?queue=main")

    assert detail == "The processing of the queue main is paused."
    assert await status_of_chat(client) == 200
    await command(client, "resume/processing?queue=main")


async def test_health_and_metrics_report_pauses(client: httpx.AsyncClient) -> None:
    await wait_for_health(client, "healthy", "0 waiting, 0 running")
    await command(client, "pause/intake?queue=main")
    await command(client, "pause/processing")

    detail = "0 waiting, 0 running, intake paused, processing paused"
    await wait_for_health(client, "degraded", detail)
    metrics = (await client.get("/metrics")).text

    for what in ("intake", "processing"):
        assert f'mamba_queue_paused{{queue="main",what="{what}"}} 1.0' in metrics
    await command(client, "resume/intake?queue=main")
    await command(client, "resume/processing")


async def test_repeated_commands_and_remaining_pauses_are_reported(
    client: httpx.AsyncClient,
) -> None:
    await command(client, "pause/intake")
    await command(client, "pause/intake?queue=main")

    assert await command(client, "pause/intake") == "The intake of all queues was already paused."
    assert await command(client, "resume/intake") == (
        "The intake of all queues has resumed. Still paused: the intake of the queue main."
    )
    assert await command(client, "resume/intake?queue=main") == (
        "The intake of the queue main has resumed."
    )
    assert await command(client, "resume/intake") == "The intake of all queues was not paused."


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("pause/intake?queue=other", 404, "There is no queue 'other'. The queues are: main."),
        ("resume/intake?queue=other", 404, "There is no queue 'other'. The queues are: main."),
        ("pause/everything", 422, "what"),
    ],
)
async def test_unknown_queue_or_part_is_refused(
    client: httpx.AsyncClient, path: str, status: int, text: str
) -> None:
    response = await client.post(f"/ops/{path}")

    assert response.status_code == status
    assert text in response.json()["detail"]


async def test_pauses_are_logged_with_the_operator(client: httpx.AsyncClient, api: Api) -> None:
    def logged(event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in api.output.splitlines() if f'"{event}"' in line]
        return [line for line in lines if line["what"] == "processing" and line["queue"] == "main"]

    before = len(logged("queue.resumed"))
    await command(client, "pause/processing?queue=main")
    await command(client, "resume/processing?queue=main")

    async def both_are_logged() -> bool:
        return len(logged("queue.resumed")) > before

    await until(both_are_logged, seconds=30)
    for event in ("queue.paused", "queue.resumed"):
        assert logged(event)[-1]["operator"] == "none::anonymous"
        assert logged(event)[-1]["level"] == "warning"


async def test_console_receives_pauses_and_owners(client: httpx.AsyncClient) -> None:
    await command(client, "pause/processing")
    assert await status_of_chat(client) == 200

    events: dict[str, Any] = {"overview": {}, "owners": {}}
    kind = ""
    async with client.stream("GET", "/ops/stream") as response:
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events[kind] = json.loads(line.removeprefix("data: "))
            if events["overview"].get("pauses") and events["owners"].get("owners"):
                break  # the first events can be a second old
    await command(client, "resume/processing")

    [pause] = events["overview"]["pauses"]
    assert (pause["what"], pause["queue"]) == ("processing", None)
    [owner] = events["owners"]["owners"]
    assert (owner["queue"], owner["waiting"], owner["weight"]) == ("main", 1, 1)
    assert events["owners"]["waiting_owners"] == 1
