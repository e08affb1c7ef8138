"""`GET /chats?state=live` lists the chats of the caller that have a live run."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from shared.redis.client import Redis
from shared.streams.event_stream import RedisEventStream
from tests.support.system.accepted_chats import end_run, start_run

LIVE = "/chats?state=live"


async def test_live_chats_are_listed_newest_first(client: httpx.AsyncClient, redis: Redis) -> None:
    stream = RedisEventStream(redis, live_ttl=600, retention=60)
    first, second, ended = [await start_run(client, chat) for chat in ("one", "two", "three")]
    await stream.take_over(first)
    await end_run(redis, ended)

    body = (await client.get(LIVE)).json()

    created = [datetime.fromisoformat(chat.pop("createdAt")) for chat in body["chats"]]
    assert all(abs(at - datetime.now(UTC)) < timedelta(minutes=1) for at in created)
    common = {"agent": "chat", "priority": "interactive", "waiting": 0}
    assert body == {
        "chats": [
            {"id": "two", "runId": second, "messageId": f"msg_{second}", "state": "queued"}
            | common,
            {"id": "one", "runId": first, "messageId": f"msg_{first}", "state": "running"} | common,
        ],
        "more": False,
    }


async def test_chat_is_listed_once_with_its_live_run(client: httpx.AsyncClient) -> None:
    first = await start_run(client, "one")
    await start_run(client, "one", whenBusy="queue")

    [chat] = (await client.get(LIVE)).json()["chats"]

    assert (chat["id"], chat["runId"], chat["waiting"]) == ("one", first, 1)


async def test_background_chat_shows_its_priority(client: httpx.AsyncClient) -> None:
    await start_run(client, "one", priority="background")

    [chat] = (await client.get(LIVE)).json()["chats"]

    assert chat["priority"] == "background"


async def test_no_live_chats_is_an_empty_list(client: httpx.AsyncClient) -> None:
    assert (await client.get(LIVE)).json() == {"chats": [], "more": False}


@pytest.mark.parametrize("path", ["/chats", "/chats?state=ended"])
async def test_other_states_are_refused(client: httpx.AsyncClient, path: str) -> None:
    refused = await client.get(path)

    assert (refused.status_code, refused.json()["field"]) == (422, "state")
