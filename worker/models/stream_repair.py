"""Normalizes streamed chunks to what OpenAI would send.

Compatible servers deviate in ways that break the code behind this module:

- Reasoning appears in the text as `<think>…</think>`, split at any position between chunks.
- Several tool calls share one index, or have no index (Ollama, some gateways).
- Tool call arguments are an object instead of JSON text.
- `created` is not a timestamp. It is not used, so it is always 0.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import ChoiceDelta, ChoiceDeltaToolCall
from pydantic_core import to_json

from shared.surrogates import replace_lone_surrogates

_OPEN, _CLOSE = "<think>", "</think>"

#: The field for reasoning that was extracted from the text. DeepSeek's servers use it.
REASONING_FIELD = "reasoning_content"


async def repair_stream(
    chunks: AsyncIterable[ChatCompletionChunk],
) -> AsyncIterator[ChatCompletionChunk]:
    thinking, calls = _ThinkingParser(), _ToolCallIndexer()
    last: ChatCompletionChunk | None = None
    async for chunk in chunks:
        chunk.created = 0
        delta = chunk.choices[0].delta if chunk.choices else None
        if delta is None:
            yield chunk
            continue
        last = chunk
        if delta.tool_calls:
            delta.tool_calls = [calls.reindex(call) for call in delta.tool_calls]
        if not isinstance(delta.content, str) or thinking.finished:
            yield chunk
            continue
        for piece in _pieces(chunk, delta, list(thinking.split(delta.content))):
            yield piece
    if last is not None and (rest := thinking.rest()):
        yield _piece(last, rest)


def _pieces(
    chunk: ChatCompletionChunk, delta: ChoiceDelta, parts: list[tuple[str, bool]]
) -> Iterator[ChatCompletionChunk]:
    """Yield one chunk per kind of text. The last one carries the chunk's other fields."""
    for part in parts[:-1]:
        yield _piece(chunk, part)
    text, reasoning = parts[-1] if parts else ("", False)
    if reasoning:
        delta.content = None
        setattr(delta, REASONING_FIELD, text)
    else:
        delta.content = text
    yield chunk


def _piece(chunk: ChatCompletionChunk, part: tuple[str, bool]) -> ChatCompletionChunk:
    text, reasoning = part
    delta = ChoiceDelta.model_validate({REASONING_FIELD if reasoning else "content": text})
    choice = chunk.choices[0].model_copy(update={"delta": delta, "finish_reason": None})
    return chunk.model_copy(update={"choices": [choice], "usage": None})


class _ThinkingParser:
    """Separates reasoning from a text that starts with `<think>`. Later tags are plain text."""

    def __init__(self) -> None:
        self.finished = False
        self._inside = False
        self._buffer = ""

    def split(self, text: str) -> Iterator[tuple[str, bool]]:
        """Parse the buffered text plus this one into pairs of text and whether it is reasoning."""
        self._buffer += text
        if not self._inside and not self._detect_start():
            return
        if self._inside:
            yield from self._read_reasoning()
        if self.finished and self._buffer:
            yield self._buffer, False
            self._buffer = ""

    def rest(self) -> tuple[str, bool] | None:
        """Return the buffered text at the end of the stream, where it cannot be a tag."""
        return (self._buffer, self._inside) if self._buffer else None

    def _detect_start(self) -> bool:
        """Whether the buffer suffices to decide if the text starts with the tag."""
        start = self._buffer.lstrip()
        if start.startswith(_OPEN):
            self._inside, self._buffer = True, start[len(_OPEN) :].lstrip("\n")
        elif not _OPEN.startswith(start):
            self.finished = True
        return self._inside or self.finished

    def _read_reasoning(self) -> Iterator[tuple[str, bool]]:
        reasoning, tag, after = self._buffer.partition(_CLOSE)
        if not tag:
            end = len(reasoning) - _partial_tag_length(reasoning)
            reasoning, self._buffer = reasoning[:end], reasoning[end:]
        else:
            self.finished, self._inside, self._buffer = True, False, after.lstrip("\n")
        if reasoning:
            yield reasoning, True


def _partial_tag_length(text: str) -> int:
    """The number of characters at the end of a text that may start the closing tag."""
    longest = min(len(text), len(_CLOSE) - 1)
    return next((n for n in range(longest, 0, -1) if _CLOSE.startswith(text[-n:])), 0)


class _ToolCallIndexer:
    """Gives each tool call a unique index, and removes repetitions of its name."""

    def __init__(self) -> None:
        #: The newest call at each index that the server sent.
        self._newest: dict[int | None, _RepairedCall] = {}
        self._count = 0

    def reindex(self, delta: ChoiceDeltaToolCall) -> ChoiceDeltaToolCall:
        _replace_lone_surrogates(delta)
        call = self._newest.get(delta.index)
        name = delta.function.name if delta.function else None
        if call is None or call.is_followed_by(delta.id, name):
            call = _RepairedCall(self._count, delta.id, name)
            self._newest[delta.index] = call
            self._count += 1
        elif delta.function is not None and call.name is not None:
            delta.function.name = None
        delta.index = call.index
        _serialize_arguments(delta)
        return delta


@dataclass(frozen=True, slots=True)
class _RepairedCall:
    index: int
    id: str | None
    name: str | None

    def is_followed_by(self, call_id: str | None, name: str | None) -> bool:
        """Whether the delta starts another call at the same index.

        If a server sends no ids, each name starts a new call.
        """
        if call_id and self.id:
            return call_id != self.id
        return bool(name and self.name and not call_id)


def _serialize_arguments(delta: ChoiceDeltaToolCall) -> None:
    arguments: object = delta.function.arguments if delta.function else None
    if delta.function and isinstance(arguments, dict | list):
        delta.function.arguments = to_json(arguments).decode()


def _replace_lone_surrogates(delta: ChoiceDeltaToolCall) -> None:
    """Replace lone surrogates, which JSON can encode but no server accepts in a request."""
    delta.id = _valid_unicode(delta.id)
    if delta.function:
        delta.function.name = _valid_unicode(delta.function.name)
        if isinstance(delta.function.arguments, str):
            delta.function.arguments = _valid_unicode(delta.function.arguments)


def _valid_unicode(text: str | None) -> str | None:
    return text and replace_lone_surrogates(text)
