"""Builds a whole completion from a stream, which some servers send although none was requested."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, cast

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta, ChoiceDeltaToolCall

from worker.models.chat.chunk import parse_chunk
from worker.models.chat.reasoning import TEXT_FIELDS, merge_carried
from worker.models.chat.stream_repair import repair_stream
from worker.models.transport.completion import is_error, unusable_document
from worker.models.transport.event_decoder import AnswerDecoder

_TEXTS = ("content", "refusal", *TEXT_FIELDS)
#: Other runs of the worker continue after this much of the body, a few milliseconds of work.
_PIECE_BYTES = 16 * 2**10


async def join_chunks(body: bytes, content_type: str | None) -> dict[str, Any]:
    """Return the completion that the chunks of a stream add up to.

    Raises:
        UnusableResponse: if the body is not an answer, or a chunk cannot be used.
        httpx2.RemoteProtocolError: if the stream ends early.
    """
    joined = _Completion()
    async for chunk in repair_stream(_chunks(body, content_type)):
        joined.add(chunk)
    return joined.to_json()


async def _chunks(body: bytes, content_type: str | None) -> AsyncIterator[ChatCompletionChunk]:
    async for event in AnswerDecoder(content_type).aiter_bytes(_pieces(body)):
        if event.data.startswith("[DONE]"):
            return
        value = event.json()
        if isinstance(value, dict) and is_error(fields := cast("dict[str, Any]", value)):
            raise unusable_document(fields, content_type)
        yield parse_chunk(cast("object", value))


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]
        await asyncio.sleep(0)


class _Completion:
    def __init__(self) -> None:
        self._texts: defaultdict[str, list[str]] = defaultdict(list)
        self._structured: dict[str, Any] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._names: defaultdict[int, list[str]] = defaultdict(list)
        self._arguments: defaultdict[int, list[str]] = defaultdict(list)
        self._reason: str | None = None
        self._usage: dict[str, Any] | None = None
        self._id = self._model = ""

    def add(self, chunk: ChatCompletionChunk) -> None:
        self._id, self._model = chunk.id or self._id, chunk.model or self._model
        if chunk.usage is not None:
            self._usage = chunk.usage.model_dump(exclude_none=True)
        for choice in chunk.choices:
            self._add_choice(choice)

    def _add_choice(self, choice: Choice) -> None:
        self._reason = choice.finish_reason or self._reason
        self._add_fields(_fields(choice.delta))
        for call in choice.delta.tool_calls or ():
            self._add_call(call)

    def _add_fields(self, fields: dict[str, Any]) -> None:
        structured: dict[str, Any] = {}
        for name, value in fields.items():
            if name in _TEXTS and isinstance(value, str):
                self._texts[name].append(value)
            else:
                structured[name] = value
        self._structured = merge_carried(self._structured, structured)

    def _add_call(self, delta: ChoiceDeltaToolCall) -> None:
        new = {"id": f"call_{delta.index}", "type": "function"}
        call = self._calls.setdefault(delta.index, new)
        call |= delta.model_extra or {}
        if delta.id:
            call["id"] = delta.id
        if delta.function:
            self._names[delta.index].append(delta.function.name or "")
            self._arguments[delta.index].append(delta.function.arguments or "")

    def to_json(self) -> dict[str, Any]:
        for index, call in self._calls.items():
            name, arguments = "".join(self._names[index]), "".join(self._arguments[index])
            call["function"] = {"name": name, "arguments": arguments}
        calls = {"tool_calls": [*self._calls.values()]} if self._calls else {}
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        message = {"content": None, **self._structured, **texts, **calls, "role": "assistant"}
        reason = self._reason or ("tool_calls" if calls else "stop")
        choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
        return {
            "id": self._id,
            "model": self._model,
            "object": "chat.completion",
            "created": 0,
            "choices": [choice],
            "usage": self._usage,
        }


def _fields(delta: ChoiceDelta) -> dict[str, Any]:
    """Return the texts and the extensions of a delta."""
    texts = {"content": delta.content, "refusal": delta.refusal}
    fields = {**texts, **(delta.model_extra or {})}
    return {name: value for name, value in fields.items() if value is not None}
