"""Chats that an API accepted and that the test answers in place of a worker."""

import httpx

from shared.redis.client import Redis
from shared.streams.event_stream import Append, Closure, RedisEventStream
from shared.streams.events import DONE, StreamEvent
from shared.streams.run_state import RunState


async def start_run(
    client: httpx.AsyncClient, chat_id: str, text: str = "Hi", **fields: object
) -> str:
    """Start a run, leave its stream, and return its id."""
    body = {"id": chat_id, "messages": [{"role": "user", "content": text}], **fields}
    async with client.stream("POST", "/chat", json=body) as response:
        assert response.status_code == 200
        return response.headers["x-run-id"]


async def end_run(redis: Redis, run_id: str, *events: StreamEvent) -> None:
    """End a run with these events, as a worker does."""
    stream = RedisEventStream(redis, live_ttl=600, retention=60)
    attempt = (await stream.take_over(run_id)).attempt
    entries = [*(event.encode() for event in events), DONE]
    await stream.append(Append(run_id, attempt, 1, entries, Closure(RunState.SUCCEEDED)))
