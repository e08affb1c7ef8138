"""A large body of one client holds up nobody else's answer."""

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


async def test_others_go_on_while_a_large_body_is_read() -> None:
    reading = asyncio.create_task(read(chat(messages=1000, parts=50)))
    await asyncio.sleep(0)  # it has begun
    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1

    assert len((await reading).messages) == 1000
    assert turns > 3


async def test_what_is_wrong_in_a_large_body_is_told_as_in_a_small_one() -> None:
    with pytest.raises(TooLarge) as refused:
        await read(chat(messages=1001, parts=50))

    assert refused.value.field == "messages"


async def test_a_body_of_hundreds_of_thousands_of_messages_is_not_even_parsed() -> None:
    with pytest.raises(TooLarge, match="200,000 objects and lists"):
        await read(chat(messages=70_000, parts=1))
