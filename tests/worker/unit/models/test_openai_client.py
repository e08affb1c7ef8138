"""The bodies of chat requests: the same as the SDK's."""

import json
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, omit

from worker.models.openai_client import open_client

URL = "http://model.test/v1"
COMPLETION = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
    ],
}
MESSAGES: list[Any] = [
    {"role": "system", "content": "Answer briefly."},
    {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "1", "content": "Seen"},
]
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
    }
]


#: Parameters besides the model and the messages.
PARAMETERS: list[dict[str, Any]] = [
    {},
    {"tools": omit},
    {"tools": TOOLS, "tool_choice": "auto", "temperature": 0.5, "stop": omit},
    {"tools": TOOLS, "extra_body": {"top_k": 5, "tools": []}},
    {"extra_body": {"messages": []}},
    {"extra_body": None},
]


async def sent_by(client: AsyncOpenAI, **parameters: Any) -> Any:
    bodies: list[Any] = []

    async def receive(request: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(await request.aread()))
        return httpx2.Response(200, json=COMPLETION)

    client._client = httpx2.AsyncClient(transport=httpx2.MockTransport(receive))  # pyright: ignore[reportPrivateUsage]
    create: Any = client.chat.completions.create
    await create(**parameters)
    return bodies.pop()


@pytest.mark.parametrize("parameters", PARAMETERS)
async def test_body_is_the_same_as_from_the_sdk(parameters: dict[str, Any]) -> None:
    fast = open_client(URL, api_key="k", headers={}, timeout=5.0, connect_timeout=5.0)
    sdk = AsyncOpenAI(base_url=URL, api_key="k")
    request = {"model": "m", "messages": MESSAGES, **parameters}
    assert await sent_by(fast, **request) == await sent_by(sdk, **request)
