"""`GET /chat/{id}/message` and `/messages/{message_id}`: which message, and when there is none."""

from typing import Any

import httpx
import pytest

from shared.redis import keys
from shared.redis.client import Redis
from shared.streams.events import (
    Data,
    Finish,
    MessageMetadata,
    StreamEvent,
    TextDelta,
    TextEnd,
    TextStart,
)
from shared.streams.events import StartStep as Step
from tests.support.system.accepted_chats import end_run, start_run


def text(value: str) -> list[StreamEvent]:
    return [Step(), TextStart(id="1"), TextDelta(id="1", delta=value), TextEnd(id="1")]


def text_part(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value, "state": "done"}


async def answer(client: httpx.AsyncClient, redis: Redis, chat_id: str, value: str) -> str:
    """Answer a chat, and return the path of the answer."""
    run_id = await start_run(client, chat_id)
    await end_run(redis, run_id, *text(value), Finish())
    return f"/chat/{chat_id}/messages/msg_{run_id}"


async def test_newest_message_is_returned(client: httpx.AsyncClient, redis: Redis) -> None:
    await answer(client, redis, "a/b", "Hello")
    path = await answer(client, redis, "a/b", "Bye")

    response = await client.get("/chat/a/b/message")

    parts = [{"type": "step-start"}, text_part("Bye")]
    message_id = path.rpartition("/")[2]
    assert response.json() == {"id": message_id, "role": "assistant", "parts": parts}
    assert response.headers["x-run-id"] == message_id.removeprefix("msg_")
    assert response.headers["x-chat-id"] == "a%2Fb"


async def test_each_message_is_returned_by_its_id(client: httpx.AsyncClient, redis: Redis) -> None:
    paths = [await answer(client, redis, "two", value) for value in ("Hello", "Bye")]

    aliases = [path.replace("/chat", "/chat/completions", 1) for path in paths]
    for path, alias in zip(paths, aliases, strict=True):
        assert (await client.get(alias)).json() == (await client.get(path)).json()
    found = [(await client.get(path)).json()["parts"][-1] for path in paths]

    assert found == [text_part("Hello"), text_part("Bye")]


async def test_data_parts_and_metadata_are_merged(client: httpx.AsyncClient, redis: Redis) -> None:
    await end_run(
        redis,
        await start_run(client, "data"),
        Data(type="data-weather", id="w", data="loading"),
        Data(type="data-note", data="seen", transient=True),
        Data(type="data-weather", id="w", data={"sun": True}),
        MessageMetadata(message_metadata={"usage": {"input": 1}}),
        MessageMetadata(message_metadata={"usage": {"output": 2}}),
        Finish(),
    )

    message = (await client.get("/chat/data/message")).json()

    assert message["parts"] == [{"type": "data-weather", "id": "w", "data": {"sun": True}}]
    assert message["metadata"] == {"usage": {"input": 1, "output": 2}}


async def test_message_of_a_live_run_returns_409(client: httpx.AsyncClient) -> None:
    run_id = await start_run(client, "live")

    for path in ("/chat/live/message", f"/chat/live/messages/msg_{run_id}"):
        refused = await client.get(path)
        assert (refused.status_code, refused.json()["code"]) == (409, "run_in_progress")


@pytest.mark.parametrize("path", ["/chat/none/message", "/chat/one/messages/none"])
async def test_unknown_message_returns_404(
    client: httpx.AsyncClient, redis: Redis, path: str
) -> None:
    await answer(client, redis, "one", "Hello")

    refused = await client.get(path)

    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


async def test_expired_stream_returns_410(client: httpx.AsyncClient, redis: Redis) -> None:
    path = await answer(client, redis, "expired", "Hello")
    await redis.execute_command("DEL", keys.stream(path.rpartition("msg_")[2]))

    refused = await client.get(path)

    assert (refused.status_code, refused.json()["code"]) == (410, "message_expired")
