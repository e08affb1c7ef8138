"""Model requests are the same as those of the SDK."""

import json
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx2
import pytest
from openai import AsyncOpenAI, not_given, omit

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
    {"extra_body": {"temperature": omit, "user": not_given}, "temperature": 1, "user": "u"},
    {"extra_body": MappingProxyType({"top_k": 5})},
    {"extra_headers": {"x-tenant": "a"}},
    {"extra_headers": {"transfer-encoding": "chunked"}},
    {"extra_headers": {"x-tenant": "b", "content-type": "application/json; v=2"}},
    {"extra_headers": {"cookie": "a=1"}},
    {"extra_query": {"api-version": "2"}},
    {"timeout": 3},
    {"stream": False},
    {"temperature": None, "user": "ü"},
]


class Sent(NamedTuple):
    url: str
    headers: dict[str, str]
    body: Any
    timeout: object


class RecordedClient:
    """A client whose requests are recorded. Each response sets the cookie `n` to `cookie`."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self.client = client
        self.cookie: str | None = None
        self._sent: list[Sent] = []
        client._client = httpx2.AsyncClient(transport=httpx2.MockTransport(self._receive))  # pyright: ignore[reportPrivateUsage]

    async def send(self, **parameters: Any) -> Sent:
        create: Any = self.client.chat.completions.create
        await create(model="m", **{"messages": MESSAGES, **parameters})
        return self._sent.pop()

    async def _receive(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(await request.aread())
        headers = {**request.headers}
        del headers["user-agent"]  # contains the name of the class
        self._sent.append(Sent(str(request.url), headers, body, request.extensions["timeout"]))
        cookies = {"set-cookie": f"n={self.cookie}"} if self.cookie else {}
        return httpx2.Response(200, json=COMPLETION, headers=cookies)


def clients() -> tuple[RecordedClient, RecordedClient]:
    """Return a client of Mamba, and one of the SDK."""
    timeout = httpx2.Timeout(5.0, connect=4.0)
    fast = open_client(URL, api_key="k", headers={}, timeout=5.0, connect_timeout=4.0)
    sdk = AsyncOpenAI(base_url=URL, api_key="k", timeout=timeout, max_retries=0)
    return RecordedClient(fast), RecordedClient(sdk)


@pytest.mark.parametrize("first", PARAMETERS)
async def test_requests_are_the_same_as_from_the_sdk(first: dict[str, Any]) -> None:
    """A request may be copied from the one before it, so this tests each ordered pair."""
    fast, sdk = clients()
    for second in PARAMETERS:
        assert await fast.send(**first) == await sdk.send(**first)
        assert await fast.send(**second) == await sdk.send(**second)


async def test_repeated_request_has_its_own_body() -> None:
    fast, _ = clients()
    bodies = [await fast.send(messages=[{"role": "user", "content": text}]) for text in "abc"]

    assert [sent.body["messages"][0]["content"] for sent in bodies] == ["a", "b", "c"]
    assert len({sent.headers["content-length"] for sent in bodies}) == 1


async def test_cookies_of_the_server_are_sent() -> None:
    fast, sdk = clients()
    for cookie in ("1", "1", "2", None, "3"):
        fast.cookie = sdk.cookie = cookie
        assert await fast.send() == await sdk.send()

    assert (await fast.send()).headers["cookie"] == "n=3"
