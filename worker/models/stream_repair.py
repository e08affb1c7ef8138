"""The chunks of a streamed answer, as OpenAI would send them.

Servers that speak its format differ in small things, which tear answers apart further on:

- `<think>` stands in the text, in any cut, where the chat template knows no field for reasoning;
- several tool calls share one index, or have none (Ollama, some gateways);
- a call's arguments are an object in place of its JSON text;
- the time it was made is no time. Nobody needs it, so nobody gets it.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import ChoiceDelta, ChoiceDeltaToolCall
from pydantic_core import to_json

_OPEN, _CLOSE = "<think>", "</think>"

#: The field that split-off reasoning goes in: the one that DeepSeek's servers use.
REASONING = "reasoning_content"


async def repaired(
    chunks: AsyncIterable[ChatCompletionChunk],
) -> AsyncIterator[ChatCompletionChunk]:
    thinking, calls = _Thinking(), _Calls()
    last: ChatCompletionChunk | None = None
    async for chunk in chunks:
        chunk.created = 0
        delta = chunk.choices[0].delta if chunk.choices else None
        if delta is None:
            yield chunk
            continue
        last = chunk
        if delta.tool_calls:
            delta.tool_calls = [calls.placed(call) for call in delta.tool_calls]
        if not isinstance(delta.content, str) or thinking.over:
            yield chunk
            continue
        for piece in _pieces(chunk, delta, list(thinking.split(delta.content))):
            yield piece
    if last is not None and (held := thinking.rest()):
        yield _piece(last, held)


def _pieces(
    chunk: ChatCompletionChunk, delta: ChoiceDelta, parts: list[tuple[str, bool]]
) -> Iterator[ChatCompletionChunk]:
    """One chunk for each kind of text in it; what else the chunk says goes out with the last."""
    for part in parts[:-1]:
        yield _piece(chunk, part)
    text, reasoning = parts[-1] if parts else ("", False)
    if reasoning:
        delta.content = None
        setattr(delta, REASONING, text)
    else:
        delta.content = text
    yield chunk


def _piece(chunk: ChatCompletionChunk, part: tuple[str, bool]) -> ChatCompletionChunk:
    text, reasoning = part
    delta = ChoiceDelta.model_validate({REASONING if reasoning else "content": text})
    choice = chunk.choices[0].model_copy(update={"delta": delta, "finish_reason": None})
    return chunk.model_copy(update={"choices": [choice], "usage": None})


class _Thinking:
    """Parts a text that begins in `<think>`. Elsewhere the tag is text: people ask about it."""

    def __init__(self) -> None:
        self.over = False
        self._inside = False
        self._held = ""

    def split(self, text: str) -> Iterator[tuple[str, bool]]:
        """The text with what was held of it before, as parts that are reasoning or are not."""
        self._held += text
        if not self._inside and not self._begin():
            return
        if self._inside:
            yield from self._reason()
        if self.over and self._held:
            yield self._held, False
            self._held = ""

    def rest(self) -> tuple[str, bool] | None:
        """What is held at the answer's end: it was no tag."""
        return (self._held, self._inside) if self._held else None

    def _begin(self) -> bool:
        """Whether it is known by now how the answer begins."""
        start = self._held.lstrip()
        if start.startswith(_OPEN):
            self._inside, self._held = True, start[len(_OPEN) :].lstrip("\n")
        elif not _OPEN.startswith(start):
            self.over = True
        return self._inside or self.over

    def _reason(self) -> Iterator[tuple[str, bool]]:
        reasoning, tag, after = self._held.partition(_CLOSE)
        if not tag:
            kept = _beginning_of_tag(reasoning)
            reasoning, self._held = (
                reasoning[: len(reasoning) - kept],
                reasoning[-kept:] * bool(kept),
            )
        else:
            self.over, self._inside, self._held = True, False, after.lstrip("\n")
        if reasoning:
            yield reasoning, True


def _beginning_of_tag(text: str) -> int:
    """How many characters at the end of a text may be the beginning of the closing tag."""
    longest = min(len(text), len(_CLOSE) - 1)
    return next((n for n in range(longest, 0, -1) if _CLOSE.startswith(text[-n:])), 0)


class _Calls:
    """Gives each tool call an index of its own, and its name once."""

    def __init__(self) -> None:
        #: The newest call at each index that the server uses.
        self._newest: dict[int | None, _RepairedCall] = {}
        self._count = 0

    def placed(self, delta: ChoiceDeltaToolCall) -> ChoiceDeltaToolCall:
        _make_whole(delta)
        call = self._newest.get(delta.index)
        name = delta.function.name if delta.function else None
        if call is None or call.is_followed_by(delta.id, name):
            call = _RepairedCall(self._count, delta.id, name)
            self._newest[delta.index] = call
            self._count += 1
        elif delta.function is not None and call.name is not None:
            delta.function.name = None
        delta.index = call.index
        _write_arguments(delta)
        return delta


@dataclass(frozen=True, slots=True)
class _RepairedCall:
    index: int
    id: str | None
    name: str | None

    def is_followed_by(self, call_id: str | None, name: str | None) -> bool:
        """Whether this is the beginning of another call at the same index.

        Where a server gives no ids, each name begins one.
        """
        if call_id and self.id:
            return call_id != self.id
        return bool(name and self.name and not call_id)


def _write_arguments(delta: ChoiceDeltaToolCall) -> None:
    arguments: object = delta.function.arguments if delta.function else None
    if delta.function and isinstance(arguments, dict | list):
        delta.function.arguments = to_json(arguments).decode()


def _make_whole(delta: ChoiceDeltaToolCall) -> None:
    """Half a character (a lone surrogate, as JSON can say it) can be sent back to no server."""
    delta.id = _whole(delta.id)
    if delta.function:
        delta.function.name = _whole(delta.function.name)
        if isinstance(delta.function.arguments, str):
            delta.function.arguments = _whole(delta.function.arguments)


def _whole(text: str | None) -> str | None:
    return text and text.encode(errors="replace").decode()
