"""Encodes a response in OpenAI's format, streamed or as one completion."""

import itertools
import time
from collections.abc import Iterable
from typing import Any

from tests.support.upstream.conversation import text_of
from tests.support.upstream.response_steps import Piece, ResponseSteps, encode

DONE = b"data: [DONE]\n\n"

_numbers = itertools.count(1)


class Completion:
    def __init__(self, request: dict[str, Any]) -> None:
        self._about = {
            "id": f"chatcmpl-{next(_numbers)}",
            "created": int(time.time()),
            "model": request["model"],
            "system_fingerprint": "fp_upstream",
        }
        self._prompt_tokens = sum(len(text_of(m).split()) for m in request["messages"])
        options: dict[str, Any] = request.get("stream_options") or {}
        self._counts = bool(options.get("include_usage"))
        # Only the delta differs between chunks, so the bytes around it are encoded once.
        chunk = self._chunk([{"index": 0, "delta": 0, "logprobs": None, "finish_reason": None}])
        head, tail = chunk.split(b'"delta":0', 1)
        self._head, self._tail = head + b'"delta":', tail

    def opening(self, response: ResponseSteps) -> bytes:
        pieces = response.pieces
        content = "" if pieces and pieces[0].kind == "text" else None
        return self._head + encode({"role": "assistant", "content": content}) + self._tail

    def pieces(self, pieces: Iterable[Piece]) -> bytes:
        between = self._tail + self._head
        return self._head + between.join([piece.delta for piece in pieces]) + self._tail

    def closing(self, response: ResponseSteps) -> bytes:
        last: dict[str, Any] = {
            "index": 0,
            "delta": {},
            "logprobs": None,
            "finish_reason": response.finish,
        }
        usage = self._chunk([], self._usage(response)) if self._counts else b""
        return self._chunk([last]) + usage + DONE

    def whole(self, response: ResponseSteps) -> bytes:
        choice = {
            "index": 0,
            "message": _message(response),
            "logprobs": None,
            "finish_reason": response.finish,
        }
        body = {**self._about, "object": "chat.completion", "choices": [choice]}
        return encode({**body, "usage": self._usage(response)})

    def _chunk(self, choices: list[Any], usage: dict[str, int] | None = None) -> bytes:
        body = {**self._about, "object": "chat.completion.chunk", "choices": choices}
        if self._counts:
            body["usage"] = usage
        return b"data: " + encode(body) + b"\n\n"

    def _usage(self, response: ResponseSteps) -> dict[str, int]:
        """Counts words of the prompt and pieces of the response, so that tests can predict it."""
        prompt, completion = self._prompt_tokens, len(response.pieces)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }


def _message(response: ResponseSteps) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": response.joined("text") or None}
    if reasoning := response.joined("reasoning"):
        message["reasoning_content"] = reasoning
    if response.tools:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in response.tools
        ]
    return message
