"""Large request bodies do not block other requests."""

import asyncio
import json
from typing import Any

import pytest
from starlette.requests import Request

from api.chat.request import ChatRequest
from api.chat.validation import read_chat_request
from shared.errors import TooLarge
from shared.settings import LimitSettings


async def read(body: bytes) -> ChatRequest:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    return await read_chat_request(request, LimitSettings())


def chat(*, messages: int, parts: int) -> bytes:
    message = {"role": "user", "parts": [{"type": "text", "text": "Hi"}] * parts}
    return json.dumps({"messages": [message] * messages}).encode()


async def test_large_body_does_not_block_the_event_loop() -> None:
    reading = asyncio.create_task(read(chat(messages=1000, parts=50)))
    await asyncio.sleep(0)
    iterations = 0
    while not reading.done():
        await asyncio.sleep(0)
        iterations += 1

    assert len((await reading).messages) == 1000
    assert iterations > 3


async def test_error_in_a_large_body_names_its_field() -> None:
    with pytest.raises(TooLarge) as caught:
        await read(chat(messages=1001, parts=50))

    assert caught.value.field == "messages"


async def test_body_with_too_many_values_is_rejected_before_parsing() -> None:
    with pytest.raises(TooLarge, match="200,000 objects and lists"):
        await read(chat(messages=70_000, parts=1))
