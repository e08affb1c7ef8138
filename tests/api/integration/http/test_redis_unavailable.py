"""An API whose Redis is down or silent responds in bounded time."""

import asyncio
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.processes import Api, Valkey, start_all, stop_all
from tests.support.wait import until

#: Requests without Redis may take 3 seconds. Two calls that wait one after the other would take 6.
BOUND = 5.5
#: The model server is never reached.
ENV = {"MAMBA_OPENAI__API_KEY": "test", "MAMBA_OPENAI__BASE_URL": "http://127.0.0.1:9/v1"}


@asynccontextmanager
async def own_deployment() -> AsyncGenerator[tuple[Valkey, httpx.AsyncClient]]:
    valkey = Valkey()
    await start_all(valkey)
    api = Api(valkey.url, ENV)
    try:
        await start_all(api)
        async with httpx.AsyncClient(base_url=api.url, timeout=30) as client:
            yield valkey, client
    finally:
        await stop_all(api, valkey)


def check_unavailable(response: httpx.Response) -> None:
    assert response.status_code == 503, (response.url, response.text)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "unavailable"
    assert int(response.headers["retry-after"]) > 0


_RUN_COMMANDS = ("stop", "requeue", "move-to-front")


async def post_chat(client: httpx.AsyncClient, **more: Any) -> httpx.Response:
    """Return the response. A stream is closed after its headers."""
    body = {"messages": [{"role": "user", "content": "Hi"}], **more}
    async with client.stream("POST", "/chat", json=body) as response:
        if response.status_code != 200:
            await response.aread()
        return response


async def test_redis_down_returns_503_quickly() -> None:
    async with own_deployment() as (valkey, client):
        await valkey.kill()
        started_at = time.monotonic()

        check_unavailable(await post_chat(client))
        check_unavailable(await client.get("/chat/x/stream"))
        check_unavailable(await client.post("/chat/x/stop"))
        check_unavailable(await client.get("/health/ready"))
        assert (await client.get("/health/live")).status_code == 200

        assert time.monotonic() - started_at < BOUND
        valkey.start()

        async def ready() -> bool:
            return (await client.get("/health/ready")).status_code == 200

        assert await until(ready)
        assert (await post_chat(client)).status_code == 200


async def test_silent_redis_returns_503_in_bounded_time() -> None:
    async with own_deployment() as (valkey, client):
        valkey.send(signal.SIGSTOP)
        started_at = time.monotonic()

        for response in await asyncio.gather(
            post_chat(client),
            post_chat(client, agent="unknown"),
            client.get("/chat/x/stream"),
            client.post("/chat/x/stop"),
            client.get("/ops/runs/x"),
            client.get("/ops/runs/x/events"),
            *(client.post(f"/ops/runs/x/{command}") for command in _RUN_COMMANDS),
            client.post("/ops/workers/x/drain"),
            client.get("/health/ready"),
        ):
            check_unavailable(response)
        assert time.monotonic() - started_at < BOUND

        await _check_responses_without_redis(client)
        valkey.send(signal.SIGCONT)

        async def accepted() -> bool:
            return (await post_chat(client)).status_code == 200

        assert await until(accepted)


async def _check_responses_without_redis(client: httpx.AsyncClient) -> None:
    started_at = time.monotonic()
    for response in await asyncio.gather(
        client.get("/models"),
        client.post("/title/generate", json={"message": "Hi"}),
        client.get("/metrics"),
        client.get("/ops/overview"),
    ):
        assert response.status_code == 200, response.url
    for response in await asyncio.gather(
        client.get("/agents"), client.get("/tools"), client.get("/tools/generateCard")
    ):
        check_unavailable(response)  # what was read before is no longer used
    assert time.monotonic() - started_at < 2 * BOUND
