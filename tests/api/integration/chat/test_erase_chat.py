"""`DELETE /chat/{id}` stops the chat's live run and leaves nothing of the chat in Redis."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

import httpx
import pytest

from shared.redis import keys
from shared.redis.client import Redis
from shared.streams.events import TextDelta
from tests.support.processes import Api, Valkey, running
from tests.support.system.accepted_chats import end_run, start_run

SECRET = "canary-text"


@pytest.fixture(scope="module")
def api(valkey: Valkey) -> Generator[Api]:
    with running(Api(valkey.url)) as process:
        yield process
        output = process.output
        assert "chat.erased" in output
        assert SECRET not in output


@pytest.fixture
async def client(api: Api, redis: Redis) -> AsyncGenerator[httpx.AsyncClient]:
    assert redis
    async with httpx.AsyncClient(base_url=api.url, timeout=20) as client:
        yield client


def body(chat_id: str) -> dict[str, Any]:
    return {"id": chat_id, "messages": [{"role": "user", "content": SECRET}]}


async def answer(redis: Redis, run_id: str) -> None:
    await end_run(redis, run_id, TextDelta(id="1", delta=SECRET))


async def keys_of(redis: Redis, *run_ids: str) -> list[bytes]:
    names: list[bytes] = await redis.execute_command("KEYS", "*")
    return [name for name in names if any(run_id.encode() in name for run_id in run_ids)]


async def values_with(redis: Redis, text: str) -> list[bytes]:
    names: list[bytes] = await redis.execute_command("KEYS", "*")
    dumps = [await redis.execute_command("DUMP", name.decode()) for name in names]
    return [name for name, dump in zip(names, dumps, strict=True) if text.encode() in (dump or b"")]


@pytest.mark.parametrize("path", ["/chat/one", "/chat/completions/one"])
async def test_all_runs_of_the_chat_are_erased(
    client: httpx.AsyncClient, redis: Redis, path: str
) -> None:
    earlier = await start_run(client, "one", SECRET)
    await answer(redis, earlier)
    live = await start_run(client, "one", SECRET)
    other = await start_run(client, "other", SECRET)

    erased = await client.delete(path)

    assert (erased.status_code, erased.content) == (204, b"")
    assert await keys_of(redis, earlier, live) == []
    assert await redis.execute_command("EXISTS", keys.run(other), keys.job(other)) == 2
    ended: list[bytes] = await redis.execute_command("ZRANGE", keys.ENDED_RUNS, 0, -1)
    assert not {earlier.encode(), live.encode()} & set(ended)
    assert (await client.get("/chat/one/stream")).status_code == 204
    assert (await client.delete(path)).status_code == 404
    await client.delete("/chat/other")
    assert await values_with(redis, SECRET) == []


async def test_open_stream_of_an_erased_chat_ends_with_abort(client: httpx.AsyncClient) -> None:
    async with client.stream("POST", "/chat", json=body("one")) as response:
        erased = await client.delete("/chat/one")
        received = (await response.aread()).decode()

    assert erased.status_code == 204
    assert '"type":"abort"' in received
    assert received.endswith("data: [DONE]\n\n")


async def test_waiting_runs_are_erased_with_the_chat(
    client: httpx.AsyncClient, redis: Redis
) -> None:
    live = await start_run(client, "one", SECRET)
    async with client.stream("POST", "/chat", json=body("one") | {"whenBusy": "queue"}) as response:
        waiting = response.headers["x-run-id"]
        erased = await client.delete("/chat/one")
        received = (await response.aread()).decode()

    assert erased.status_code == 204
    assert '"type":"abort"' in received
    assert received.endswith("data: [DONE]\n\n")
    assert await keys_of(redis, live, waiting) == []
    assert await redis.execute_command("ZCARD", keys.QUEUE) == 0
    assert (await client.get("/chats", params={"state": "live"})).json()["chats"] == []
    assert await values_with(redis, SECRET) == []


async def test_erased_chat_can_be_started_again(client: httpx.AsyncClient) -> None:
    first = await start_run(client, "a/b", SECRET)
    erased = await client.delete("/chat/a%2Fb")

    again = await start_run(client, "a/b", SECRET)

    assert erased.status_code == 204
    assert again != first


async def test_unknown_chat_returns_404(client: httpx.AsyncClient) -> None:
    missing = await client.delete("/chat/missing")

    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
