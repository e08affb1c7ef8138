"""`GET /chat/{id}/events` shows which run of a chat is live, which wait, and which ended."""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from api.http.draining import Draining
from api.streaming.chat_feed import ChatFeeds
from shared.queue.job_queue import JobQueue
from shared.redis.client import Redis
from shared.redis.subscriber import Subscriber
from shared.runs.chat_index import ChatIndex
from shared.runs.store import RunStore
from shared.settings import Settings
from shared.settings.live_settings import LiveSettings
from tests.support.processes import Api, Valkey, running, start_all, stop_all
from tests.support.system.accepted_chats import end_run, start_run
from tests.support.wait import until

CHAT = "a chat/with a slash"


@pytest.fixture(scope="module")
def api(valkey: Valkey) -> Generator[Api]:
    with running(Api(valkey.url, {"MAMBA_SERVER__HEARTBEAT_SECONDS": "30"})) as process:
        yield process


class Feed:
    """The events of a feed in order, and the newest cursor."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.cursor = ""

    async def next(self) -> dict[str, Any]:
        async for line in self._lines:
            if line.startswith("id: "):
                self.cursor = line.removeprefix("id: ")
            elif line.startswith("data: "):
                return json.loads(line.removeprefix("data: "))
        raise AssertionError("the feed ended")

    async def take(self, count: int) -> list[tuple[str, str]]:
        """Return the types and runs of the next events."""
        events = [await self.next() for _ in range(count)]
        return [(event["type"], _runs(event)) for event in events]


def _runs(event: dict[str, Any]) -> str:
    return event.get("runId") or " ".join(run["runId"] for run in event["waiting"])


@asynccontextmanager
async def follow(
    client: httpx.AsyncClient, cursor: str = "", path: str = f"/chat/{CHAT}/events"
) -> AsyncGenerator[Feed]:
    headers = {"last-event-id": cursor} if cursor else {}
    async with client.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Feed(response)


async def end(redis: Redis, run_id: str) -> None:
    """End a run, and remove its job as its worker does."""
    await end_run(redis, run_id)
    await JobQueue(redis).remove(run_id)


async def test_first_events_describe_the_present(client: httpx.AsyncClient) -> None:
    first = await start_run(client, CHAT)
    second = await start_run(client, CHAT, whenBusy="queue")

    async with follow(client) as feed:
        started, queue = await feed.next(), await feed.next()

    run = {"runId": first, "messageId": f"msg_{first}", "state": "queued"}
    assert started == {"type": "run-started", **run}
    waiting = {"runId": second, "messageId": f"msg_{second}", "state": "queued"}
    assert queue == {"type": "queue-changed", "waiting": [waiting]}


async def test_every_change_is_sent_at_once(client: httpx.AsyncClient, redis: Redis) -> None:
    first = await start_run(client, CHAT)
    async with follow(client) as feed:
        assert await feed.take(2) == [("run-started", first), ("queue-changed", "")]
        second = await start_run(client, CHAT, whenBusy="queue")
        assert await feed.take(1) == [("queue-changed", second)]

        await end(redis, first)
        changes = [("run-ended", first), ("run-started", second), ("queue-changed", "")]
        assert await feed.take(3) == changes

        await end(redis, second)
        ended = await feed.next()
    assert ended["state"] == "succeeded"
    assert ended["runId"] == second


async def test_feed_is_resumed_at_its_cursor(client: httpx.AsyncClient, redis: Redis) -> None:
    first = await start_run(client, CHAT)
    async with follow(client) as feed:
        await feed.take(2)
    await end(redis, first)
    second = await start_run(client, CHAT)
    await end(redis, second)
    third = await start_run(client, CHAT)

    async with follow(client, feed.cursor) as resumed:
        missed = await resumed.take(3)

    assert missed == [("run-ended", first), ("run-ended", second), ("run-started", third)]


async def test_end_of_a_superseded_run_is_sent(client: httpx.AsyncClient) -> None:
    first = await start_run(client, CHAT)
    async with follow(client) as feed:
        await feed.take(2)
        second = await start_run(client, CHAT, whenBusy="supersede")
        assert sorted(await feed.take(2)) == [("run-ended", first), ("run-started", second)]


async def test_ended_chat_starts_with_its_newest_run(
    client: httpx.AsyncClient, redis: Redis
) -> None:
    run = await start_run(client, CHAT)
    await end(redis, run)

    async with follow(client, path=f"/chat/completions/{CHAT}/events") as feed:
        assert await feed.take(2) == [("run-ended", run), ("queue-changed", "")]


async def test_chat_without_runs_is_not_found(client: httpx.AsyncClient) -> None:
    response = await client.get("/chat/unknown/events")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_cursor_of_another_stream_is_refused(client: httpx.AsyncClient) -> None:
    await start_run(client, CHAT)

    response = await client.get(f"/chat/{CHAT}/events", headers={"last-event-id": "1-57@run"})

    assert (response.status_code, response.json()["field"]) == (422, "Last-Event-ID")


async def test_cursor_shows_no_runs_of_other_chats(client: httpx.AsyncClient) -> None:
    other = await start_run(client, "another chat")
    await start_run(client, CHAT)

    async with follow(client, f"-:{other}:-:-") as feed:
        event = await feed.next()

    assert (event["runId"], event["state"], event["messageId"]) == (other, "expired", None)


async def test_client_has_to_reconnect_after_ten_minutes(
    client: httpx.AsyncClient, valkey: Valkey, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.streaming.chat_feed._MAX_SECONDS", 0.0)
    runs, draining = RunStore(redis, live_ttl=60), Draining(delay_seconds=0)
    run = await runs.get(await start_run(client, CHAT))
    assert run
    async with Subscriber(valkey.url, name="test") as subscriber:
        feeds = ChatFeeds(runs, ChatIndex(redis), subscriber, draining, LiveSettings(Settings()))
        feed = await feeds.create(run.owner, CHAT, None)
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            await asyncio.Event().wait()

        await feed({}, receive, send)

    assert sent[-1]["body"].startswith(b"retry: ")
    assert sent[-1]["more_body"]


@pytest.fixture
async def limited(valkey: Valkey) -> AsyncGenerator[Api]:
    """Another API, at which an owner may have one open stream."""
    api = Api(valkey.url, {"MAMBA_LIMITS__STREAMS": "1"})
    await start_all(api)
    yield api
    await stop_all(api)


async def test_draining_api_breaks_the_feed_which_another_continues(
    client: httpx.AsyncClient, limited: Api, redis: Redis
) -> None:
    first = await start_run(client, CHAT)
    async with httpx.AsyncClient(base_url=limited.url, timeout=20) as other, follow(other) as feed:
        await feed.take(2)
        limited.send(signal.SIGTERM)
        with pytest.raises(httpx.RemoteProtocolError):
            await feed.next()
    await end(redis, first)

    async with follow(client, feed.cursor) as continued:
        assert await continued.take(1) == [("run-ended", first)]


async def test_feed_counts_as_an_open_stream(client: httpx.AsyncClient, limited: Api) -> None:
    await start_run(client, CHAT)
    async with httpx.AsyncClient(base_url=limited.url, timeout=20) as other:
        async with follow(other) as feed:
            await feed.take(2)
            refusal = await other.get(f"/chat/{CHAT}/events")

        async def accepted() -> bool:
            async with other.stream("GET", f"/chat/{CHAT}/events") as response:
                return response.status_code == 200

        await until(accepted)

    assert (refusal.status_code, refusal.json()["code"]) == (429, "too_many_streams")
    assert int(refusal.headers["retry-after"]) > 0


async def test_feeds_share_one_redis_connection(client: httpx.AsyncClient, redis: Redis) -> None:
    await start_run(client, CHAT)
    async with follow(client) as one, follow(client) as two:
        await one.take(2)
        await two.take(2)
        assert await pubsub_clients(redis) == 1


async def pubsub_clients(redis: Redis) -> int:
    clients: list[dict[str, str]] = await redis.execute_command("CLIENT LIST")
    return sum(client["name"] == "mamba-api" and "P" in client["flags"] for client in clients)
