"""Deviations of OpenAI-compatible servers from OpenAI's format, as changes to the chunks."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, get_args

Quirk = Literal[
    "role-everywhere",
    "whole-tool-calls",
    "no-tool-ids",
    "same-tool-index",
    "no-tool-index",
    "repeated-tool-names",
    "arguments-as-object",
    "reasoning-field",
    "reasoning-details",
    "think-tags",
    "call-extensions",
    "empty-choices-first",
    "empty-finish-reason",
    "stop-for-tools",
    "no-done",
    "no-usage",
    "comments",
    "crlf",
    "error-at-the-end",
    "old-error-at-the-end",
]

#: The deviations of known servers, each observed in a release.
SERVERS: dict[str, tuple[Quirk, ...]] = {
    "openai": (),
    "ollama": ("role-everywhere", "whole-tool-calls", "same-tool-index", "reasoning-field"),
    "vllm": ("empty-choices-first", "repeated-tool-names", "reasoning-field"),
    "lmstudio": ("role-everywhere", "no-usage", "comments", "think-tags"),
    "gateway": ("crlf", "comments", "no-done", "empty-finish-reason", "stop-for-tools"),
}

Chunk = dict[str, Any]


class Quirks:
    """Rewrites the frames of one streamed response."""

    def __init__(self, quirks: Iterable[Quirk]) -> None:
        self._quirks = [quirk for quirk in get_args(Quirk) if quirk in set(quirks)]
        self._first = True
        self._thinking = False
        #: Deltas of tool calls, held back until they are complete, by index.
        self._calls: dict[int, dict[str, Any]] = {}

    def rewrite(self, data: bytes) -> bytes:
        frames = [frame for frame in data.decode().split("\n\n") if frame]
        ending = "\r\n\r\n" if "crlf" in self._quirks else "\n\n"
        out = "".join(frame + ending for frame in self._rewritten(frames))
        return out.encode()

    def _rewritten(self, frames: list[str]) -> Iterator[str]:
        if self._first:
            self._first = False
            if "comments" in self._quirks:
                yield ": keep-alive"
            if "empty-choices-first" in self._quirks:
                empty = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
                yield f"data: {json.dumps({**empty, 'choices': []})}"
        for frame in frames:
            data = frame.removeprefix("data: ")
            if data == "[DONE]":
                yield from self._end()
                continue
            chunk = json.loads(data)
            if self._apply(chunk):
                yield f"data: {json.dumps(chunk)}"
                if "comments" in self._quirks:
                    yield ": keep-alive"

    def _end(self) -> Iterator[str]:
        if "error-at-the-end" in self._quirks:
            error = {"message": "overloaded", "type": "overloaded_error"}
            yield f"event: error\ndata: {json.dumps({'error': error})}"
        elif "old-error-at-the-end" in self._quirks:
            yield 'data: {"object": "error", "message": "overloaded", "code": 503}'
        elif "no-done" not in self._quirks:
            yield "data: [DONE]"

    def _apply(self, chunk: Chunk) -> bool:
        """Apply the quirks to a chunk; returns whether it is sent."""
        if not chunk["choices"]:
            return "no-usage" not in self._quirks
        if "no-usage" in self._quirks:
            chunk.pop("usage", None)
        choice = chunk["choices"][0]
        for quirk, change in _CHANGES.items():
            if quirk in self._quirks:
                change(self, choice)
        self._change_calls(choice)
        if "role-everywhere" in self._quirks:
            choice["delta"] = {"role": "assistant", "content": "", **choice["delta"]}
        return choice.pop("withheld", None) is None

    def empty_finish_reason(self, choice: Chunk) -> None:
        choice["finish_reason"] = choice["finish_reason"] or ""

    def stop_for_tools(self, choice: Chunk) -> None:
        if choice["finish_reason"] == "tool_calls":
            choice["finish_reason"] = "stop"

    def fail_at_the_end(self, choice: Chunk) -> None:
        if choice["finish_reason"]:
            choice["withheld"] = True

    def reasoning_field(self, choice: Chunk) -> None:
        if "reasoning_content" in choice["delta"]:
            choice["delta"]["reasoning"] = choice["delta"].pop("reasoning_content")

    def reasoning_details(self, choice: Chunk) -> None:
        """OpenRouter's format: the text twice, and a signature in the last piece."""
        delta = choice["delta"]
        text = delta.pop("reasoning_content", None)
        if text is not None:
            detail = {"type": "reasoning.text", "text": text, "index": 0, "signature": None}
            delta |= {"reasoning": text, "reasoning_details": [detail]}
            self._thinking = True
        elif self._thinking:
            self._thinking = False
            signature = {"type": "reasoning.text", "index": 0, "signature": "signed"}
            delta["reasoning_details"] = [signature]

    def think_tags(self, choice: Chunk) -> None:
        delta = choice["delta"]
        reasoning = delta.pop("reasoning_content", None)
        if reasoning is not None:
            delta["content"] = reasoning if self._thinking else f"<think>\n{reasoning}"
            self._thinking = True
        elif self._thinking and (delta.get("content") or "tool_calls" in delta):
            self._thinking = False
            delta["content"] = f"</think>\n\n{delta.get('content') or ''}"

    def whole_tool_calls(self, choice: Chunk) -> None:
        delta = choice["delta"]
        for call in delta.pop("tool_calls", ()):
            held = self._calls.setdefault(call["index"], call)
            if held is not call:
                held["function"]["arguments"] += call["function"]["arguments"]
            choice["withheld"] = True
        if choice["finish_reason"] and self._calls:
            delta["tool_calls"] = list(self._calls.values())

    def _change_calls(self, choice: Chunk) -> None:
        for call in choice["delta"].get("tool_calls", ()):
            for quirk, change in _CALL_CHANGES.items():
                if quirk in self._quirks:
                    change(call)


def _call_extensions(call: Chunk) -> None:
    """Gemini's thought signature comes with the first piece."""
    if "id" in call:
        call["extra_content"] = {"google": {"thought_signature": f"signature of {call['id']}"}}


def _same_index(call: Chunk) -> None:
    call["index"] = 0


def _no_index(call: Chunk) -> None:
    del call["index"]


def _no_id(call: Chunk) -> None:
    call.pop("id", None)


def _arguments_as_object(call: Chunk) -> None:
    call["function"]["arguments"] = json.loads(call["function"]["arguments"])


class _RepeatedNames:
    """Repeats the name and the id of a call in each of its pieces."""

    def __init__(self) -> None:
        self._newest: dict[int, tuple[str, str]] = {}

    def __call__(self, call: Chunk) -> None:
        if "name" in call["function"]:
            self._newest[call["index"]] = (call["function"]["name"], call["id"])
        call["function"]["name"], call["id"] = self._newest[call["index"]]


_CALL_CHANGES: dict[str, Callable[[Chunk], None]] = {
    "call-extensions": _call_extensions,
    "repeated-tool-names": _RepeatedNames(),
    "no-tool-ids": _no_id,
    "same-tool-index": _same_index,
    "no-tool-index": _no_index,
    "arguments-as-object": _arguments_as_object,
}

_CHANGES: dict[str, Callable[[Quirks, Chunk], None]] = {
    "whole-tool-calls": Quirks.whole_tool_calls,
    "reasoning-field": Quirks.reasoning_field,
    "reasoning-details": Quirks.reasoning_details,
    "think-tags": Quirks.think_tags,
    "empty-finish-reason": Quirks.empty_finish_reason,
    "stop-for-tools": Quirks.stop_for_tools,
    "error-at-the-end": Quirks.fail_at_the_end,
    "old-error-at-the-end": Quirks.fail_at_the_end,
}
