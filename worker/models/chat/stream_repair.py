"""Normalizes the chunks of a stream to what OpenAI would send.

Compatible servers deviate in ways that break the code behind this module:

- Reasoning appears in the text, split at any position between chunks (`text_reasoning`).
- Tool calls have repeated, missing, or ambiguous ids and indexes (`tool_call_repair`).
- Several chunks report the token usage: as a running count, or in parts (`usage_counter`).
- A surrogate pair is split between two chunks.
- A chunk contains megabytes of text, such as an image. It is split, because the code behind this
  module would block the event loop while it converts it.
- `created` is not a timestamp. It is not used, so it is always 0.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta

from worker.models.chat.reasoning import TAG_FIELD, TAGGED_FIELD
from worker.models.chat.surrogates import SurrogateJoiner
from worker.models.chat.text_reasoning.parser import ReasoningParser
from worker.models.chat.text_reasoning.piece import TextPiece
from worker.models.chat.tool_call_repair import ToolCallIndexer
from worker.models.chat.usage_counter import UsageCounter

_PIECE_CHARS = 16_384


async def repair_stream(
    chunks: AsyncIterable[ChatCompletionChunk], reasoning_tag: str | None = None
) -> AsyncIterator[ChatCompletionChunk]:
    repair = _StreamRepair(reasoning_tag)
    async for chunk in chunks:
        for number, repaired in enumerate(repair.chunks(chunk)):
            if number:
                await asyncio.sleep(0)
            yield repaired
    for repaired in repair.rest():
        yield repaired


class _StreamRepair:
    def __init__(self, reasoning_tag: str | None) -> None:
        self._reasoning = ReasoningParser(reasoning_tag)
        self._calls = ToolCallIndexer()
        self._text = SurrogateJoiner()
        self._usage = UsageCounter()
        #: The index of the choice that is used, if there are several.
        self._choice: int | None = None
        self._last: ChatCompletionChunk | None = None

    def chunks(self, chunk: ChatCompletionChunk) -> Iterator[ChatCompletionChunk]:
        chunk.created = 0
        choice = self._chosen(chunk)
        if choice is not None and _has_output(choice.delta):
            self._usage.note_output()
        if chunk.usage is not None:
            chunk.usage = self._usage.add(chunk.usage)
        if choice is None:
            yield chunk
            return
        self._last = chunk
        delta = choice.delta
        if delta.tool_calls:
            repaired = map(self._calls.reindex, delta.tool_calls)
            delta.tool_calls = [call for call in repaired if call is not None]
        if not isinstance(delta.content, str):
            yield chunk
            return
        delta.content = self._text.join(delta.content)
        if not self._reasoning.finished:
            pieces = list(self._reasoning.split(delta.content))
        elif len(delta.content) > _PIECE_CHARS:
            pieces = [TextPiece(delta.content)]
        else:
            yield chunk
            return
        yield from _pieces(chunk, delta, [*_short_pieces(pieces)])

    def rest(self) -> Iterator[ChatCompletionChunk]:
        """Yield what was held back at the end of the stream."""
        self._calls.check_names()
        if self._last is None:
            return
        for piece in (*self._reasoning.rest(), TextPiece(self._text.rest())):
            if piece.text:
                yield _piece(self._last, piece)

    def _chosen(self, chunk: ChatCompletionChunk) -> Choice | None:
        """Reduce the chunk to the choice that is used: the one that came first."""
        if not chunk.choices:
            return None
        if self._choice is None:
            self._choice = chunk.choices[0].index
        chunk.choices = [c for c in chunk.choices if c.index == self._choice]
        return chunk.choices[0] if chunk.choices else None


def _has_output(delta: ChoiceDelta) -> bool:
    return bool(delta.content or delta.tool_calls or any((delta.model_extra or {}).values()))


def _short_pieces(pieces: Iterable[TextPiece]) -> Iterator[TextPiece]:
    for text, tag in pieces:
        for start in range(0, len(text), _PIECE_CHARS):
            yield TextPiece(text[start : start + _PIECE_CHARS], tag)


def _pieces(
    chunk: ChatCompletionChunk, delta: ChoiceDelta, pieces: list[TextPiece]
) -> Iterator[ChatCompletionChunk]:
    """Yield one chunk per kind of text. The last one carries the chunk's other fields."""
    for piece in pieces[:-1]:
        yield _piece(chunk, piece)
    last = pieces[-1] if pieces else TextPiece("")
    delta.content = None
    for field, value in _fields(last).items():
        setattr(delta, field, value)
    yield chunk


def _piece(chunk: ChatCompletionChunk, piece: TextPiece) -> ChatCompletionChunk:
    delta = ChoiceDelta.model_construct(None, **_fields(piece))
    choice = chunk.choices[0].model_copy(update={"delta": delta, "finish_reason": None})
    return chunk.model_copy(update={"choices": [choice], "usage": None})


def _fields(piece: TextPiece) -> dict[str, str]:
    if piece.tag is None:
        return {"content": piece.text}
    return {TAGGED_FIELD: piece.text, TAG_FIELD: piece.tag}
