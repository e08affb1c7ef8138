"""Streams as OpenAI and compatible servers send them, and their splits into reads."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

#: What each server's chunks contain besides the choice, and its choices besides the delta.
SERVERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "openai": (
        {"id": "c-1", "created": 1, "model": "gpt", "service_tier": "default", "usage": None},
        {"index": 0, "logprobs": None, "finish_reason": None},
    ),
    "ollama": (
        {"id": "c-1", "created": 1, "model": "llama", "system_fingerprint": "fp_ollama"},
        {"index": 0, "finish_reason": None},
    ),
    "vllm": (
        {"id": "c-1", "created": 1, "model": "qwen", "prompt_token_ids": None},
        {"index": 0, "logprobs": None, "finish_reason": None, "token_ids": None},
    ),
    "lm-studio": (
        {"id": "c-1", "created": 1, "model": "gemma", "system_fingerprint": "gemma"},
        {"index": 0, "logprobs": None, "finish_reason": None},
    ),
    "litellm": (
        {"id": "c-1", "created": 1, "model": "claude", "citations": None},
        {"index": 0, "finish_reason": None, "provider_specific_fields": None},
    ),
    "deepseek": (
        {"id": "c-1", "created": 1, "model": "deepseek", "usage": None},
        {"index": 0, "logprobs": None, "finish_reason": None},
    ),
    "empty-reasons": ({"model": "m", "provider": "P"}, {"index": 0, "finish_reason": ""}),
}
Delta = dict[str, Any]

OPENING: Delta = {"role": "assistant", "content": ""}
CALL: Delta = {
    "index": 0,
    "id": "call-1",
    "type": "function",
    "function": {"name": "f", "arguments": ""},
}
DONE = b"data: [DONE]\n\n"


def event(server: str, delta: Delta, **choice: Any) -> bytes:
    shared, fields = SERVERS[server]
    chunk = {**shared, "object": "chat.completion.chunk"}
    chunk["choices"] = [{**fields, "delta": delta, **choice}]
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def stream(server: str, deltas: Sequence[Delta], end: bytes = b"\n\n") -> bytes:
    events = [event(server, OPENING), *(event(server, delta) for delta in deltas)]
    events.append(event(server, {}, finish_reason="stop"))
    return (b"".join(events) + DONE).replace(b"\n\n", end)


def bytewise(body: bytes) -> list[bytes]:
    """Reads of one byte. No event is ever complete in one read, so nothing is merged."""
    return [body[n : n + 1] for n in range(len(body))]


def split(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    bounds = [0, *sorted({cut % (len(body) + 1) for cut in cuts}), len(body)]
    return [body[start:end] for start, end in pairwise(bounds)]


def opening(index: int) -> Delta:
    return {"tool_calls": [{**CALL, "index": index, "id": f"c{index}"}]}


def arguments(index: int, text: str) -> Delta:
    return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}


def by_event(body: bytes) -> list[bytes]:
    """Reads of one event."""
    return [event + b"\n\n" for event in body.split(b"\n\n") if event]
