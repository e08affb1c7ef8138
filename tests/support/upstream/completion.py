"""OpenAI's wire format of one answer, streamed or whole."""

import itertools
import time
from collections.abc import Iterable
from typing import Any

from tests.support.upstream.conversation import text_of
from tests.support.upstream.turn import Piece, Turn, encode

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
        # A chunk is the same bytes around its delta, so it is never built as a dict.
        chunk = self._chunk([{"index": 0, "delta": 0, "logprobs": None, "finish_reason": None}])
        head, tail = chunk.split(b'"delta":0', 1)
        self._head, self._tail = head + b'"delta":', tail

    def opening(self, turn: Turn) -> bytes:
        pieces = turn.pieces
        content = "" if pieces and pieces[0].kind == "text" else None
        return self._head + encode({"role": "assistant", "content": content}) + self._tail

    def pieces(self, pieces: Iterable[Piece]) -> bytes:
        between = self._tail + self._head
        return self._head + between.join([piece.delta for piece in pieces]) + self._tail

    def closing(self, turn: Turn) -> bytes:
        last: dict[str, Any] = {
            "index": 0,
            "delta": {},
            "logprobs": None,
            "finish_reason": turn.finish,
        }
        usage = self._chunk([], self._usage(turn)) if self._counts else b""
        return self._chunk([last]) + usage + DONE

    def whole(self, turn: Turn) -> bytes:
        choice = {
            "index": 0,
            "message": _message(turn),
            "logprobs": None,
            "finish_reason": turn.finish,
        }
        body = {**self._about, "object": "chat.completion", "choices": [choice]}
        return encode({**body, "usage": self._usage(turn)})

    def _chunk(self, choices: list[Any], usage: dict[str, int] | None = None) -> bytes:
        body = {**self._about, "object": "chat.completion.chunk", "choices": choices}
        if self._counts:
            body["usage"] = usage
        return b"data: " + encode(body) + b"\n\n"

    def _usage(self, turn: Turn) -> dict[str, int]:
        """Words of the prompt and pieces of the answer: numbers a test can foretell."""
        prompt, completion = self._prompt_tokens, len(turn.pieces)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }


def _message(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": turn.joined("text") or None}
    if reasoning := turn.joined("reasoning"):
        message["reasoning_content"] = reasoning
    if turn.tools:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in turn.tools
        ]
    return message
