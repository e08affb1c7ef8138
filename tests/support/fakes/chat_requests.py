"""Requests with a chat body, and parts of such bodies."""

import json
from typing import Any

from starlette.requests import Request

from api.chat.request import ChatRequest
from api.chat.validation import read_chat_request
from shared.settings import LimitSettings

HI = {"role": "user", "content": "Hi"}
ANSWER = {"role": "assistant", "content": "Hello"}
STEP = {"type": "step-start"}
CALL = {"type": "tool-f", "toolCallId": "k", "input": {"a": 1}}


def request(*chunks: bytes, headers: dict[str, str] | None = None) -> Request:
    """Return a request whose body arrives in these chunks."""
    pending = list(chunks)

    async def receive() -> dict[str, Any]:
        body = pending.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pending)}

    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


async def read_body(body: Any, limits: LimitSettings | None = None) -> ChatRequest:
    """Validate a body: bytes, or what is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await read_chat_request(request(data), limits or LimitSettings())


def tool_part(call_id: str, state: str, **fields: Any) -> dict[str, Any]:
    return {"type": "tool-locate", "toolCallId": call_id, "state": state, **fields}


def continued(*parts: dict[str, Any], **message: Any) -> dict[str, Any]:
    """Return a body whose last message is an assistant message with these parts."""
    answer = {"id": "m1", "role": "assistant", "parts": list(parts), **message}
    return {"messages": [{"role": "user", "content": "Hi"}, answer]}
