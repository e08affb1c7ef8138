"""`POST /chat/{id}/stop?runId=…` stops only the run with this id."""

import httpx
import pytest

from shared.redis.client import Redis
from tests.support.system.accepted_chats import end_run, start_run


async def queue_runs(client: httpx.AsyncClient, count: int) -> list[str]:
    return [await start_run(client, "c", whenBusy="queue") for _ in range(count)]


async def live_chats(client: httpx.AsyncClient) -> list[tuple[str, int]]:
    """Return the live run of each chat, and how many runs wait for it."""
    chats = (await client.get("/chats?state=live")).json()["chats"]
    return [(chat["runId"], chat["waiting"]) for chat in chats]


@pytest.mark.parametrize("path", ["/chat/c/stop", "/chat/completions/c/stop"])
async def test_waiting_run_is_stopped_alone(client: httpx.AsyncClient, path: str) -> None:
    first, second, _ = await queue_runs(client, 3)

    stopped = await client.post(path, params={"runId": second})

    assert stopped.json() == {"run_id": second, "state": "cancelled"}
    assert await live_chats(client) == [(first, 1)]


async def test_queued_also_stops_the_runs_behind_it(client: httpx.AsyncClient) -> None:
    first, second, _ = await queue_runs(client, 3)

    await client.post("/chat/c/stop", params={"runId": second, "queued": True})

    assert await live_chats(client) == [(first, 0)]


async def test_queued_stops_the_run_that_followed_an_ended_one(
    client: httpx.AsyncClient, redis: Redis
) -> None:
    first, *_ = await queue_runs(client, 3)
    await end_run(redis, first)

    await client.post("/chat/c/stop", params={"runId": first, "queued": True})

    assert await live_chats(client) == []


async def test_ended_run_stays_and_the_live_one_continues(
    client: httpx.AsyncClient, redis: Redis
) -> None:
    first, second = await queue_runs(client, 2)
    await end_run(redis, first)

    stopped = await client.post("/chat/c/stop", params={"runId": first})

    assert stopped.json() == {"run_id": first, "state": "succeeded"}
    assert await live_chats(client) == [(second, 0)]


async def test_run_that_the_chat_does_not_have_returns_404(client: httpx.AsyncClient) -> None:
    live = await start_run(client, "c")
    other = await start_run(client, "other")

    for run_id in (other, "unknown"):
        missing = await client.post("/chat/c/stop", params={"runId": run_id})
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert await live_chats(client) == [(other, 0), (live, 0)]


@pytest.mark.parametrize("run_id", ["", "a" * 65, "ä", "a\n"])
async def test_invalid_run_id_returns_422(client: httpx.AsyncClient, run_id: str) -> None:
    refused = await client.post("/chat/c/stop", params={"runId": run_id})

    assert (refused.status_code, refused.json()["field"]) == (422, "runId")
