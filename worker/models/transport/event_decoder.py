"""Decodes the events of a streamed answer, and rejects responses that are not one."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NoReturn, cast

import httpx2
from openai._streaming import ServerSentEvent
from pydantic_core import to_json

from worker.models.transport.completion import (
    chunk_of,
    chunks_of_document,
    error_event,
    is_error,
    is_json,
    parse_json,
)
from worker.models.transport.delta_merger import PlainDelta, merge_plain, plain_delta
from worker.models.transport.error_texts import Reason
from worker.models.transport.event_lines import (
    MAX_EVENT_BYTES,
    EventParser,
    EventTooLarge,
    LineSplitter,
    is_field,
)
from worker.models.transport.growing_text import GrowingText, JsonChecker
from worker.models.transport.text_shortcut import current_shortcut
from worker.models.transport.unusable_response import UnusableResponse, unusable, unusable_chunk

_FINISH_REASON = re.compile(r'"finish_reason": ?"[^"]')
_ERROR = re.compile(r'\{\s*"error"')
#: Events that servers send to keep the connection open, and at the end, in any spelling.
_PAUSES = frozenset({"ping", "pong", "heartbeat", "keepalive", "keep-alive", "keep_alive", "null"})
_DONE = frozenset({"done"})
_MAX_MARK_CHARS = 30
#: White space and the bytes of a byte order mark, neither of which starts an answer.
_BLANK = b" \t\r\n\v\f\xef\xbb\xbf"


class AnswerDecoder:
    """Decodes responses for the SDK's `AsyncStream`, including those that differ from OpenAI's.

    Servers also send a whole completion, one JSON chunk per line, events without blank lines
    between them, and errors in any form. Raises an error if the stream ends early, which the SDK
    treats as a complete answer.
    """

    def __init__(self, content_type: str | None = None) -> None:
        self._content_type = content_type
        self._lines = LineSplitter()
        self._event = EventParser()
        self._json = JsonChecker()
        self._shortcut = current_shortcut()
        self._complete = self._has_events = False
        #: Whether the server has sent a part of an answer, or an error.
        self._recognized = False
        self._received_anything = False

    async def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
        start = await _read_start(iterator)
        self._received_anything = bool(start)
        try:
            if start[:1] in (b"{", b"["):
                document = await _read_document(start, iterator)
                for chunk in chunks_of_document(document, self._content_type):
                    yield self._json_event(chunk)
                self._recognized = self._complete = True
            elif start.startswith(b"<"):
                raise self._unusable("The server sent a page instead of an answer.")
            else:
                async for data in _chain(start, iterator):
                    for event in self._read(data):
                        yield event
                for event in self._read_lines(b"\n\n"):
                    yield event
                for event in _events(self._shortcut.release()):
                    yield event
        except EventTooLarge:
            raise self._too_large() from None
        if not self._complete:
            self._report_early_end()

    def _read(self, data: bytes) -> Iterator[ServerSentEvent]:
        """Yield the events that data completes. Plain deltas that follow each other are merged."""
        end = b"\r\n\r\n" if b"\r\n\r\n" in data else b"\n\n"
        if not (self._lines.is_empty and self._event.is_empty):
            rest, found, data = data.partition(end)
            yield from self._read_lines(rest + found)
        *events, rest = data.split(end)
        deltas: list[PlainDelta] = []
        for event in events:
            if (delta := plain_delta(event)) is not None:
                deltas.append(delta)
                continue
            yield from self._pass_merged(deltas)
            deltas.clear()
            yield from self._read_lines(event + end)
        yield from self._pass_merged(deltas)
        yield from self._read_lines(rest)

    def _pass_merged(self, deltas: list[PlainDelta]) -> Iterator[ServerSentEvent]:
        for delta in merge_plain(deltas):
            self._recognized = self._has_events = True
            yield from _events(self._shortcut.pass_delta(delta))

    def _read_lines(self, data: bytes) -> Iterator[ServerSentEvent]:
        for line in self._lines.feed(data):
            for event in self._add(line):
                yield from _events(self._shortcut.interrupt())
                yield self._json_event(event)

    def _json_event(self, data: str) -> ServerSentEvent:
        if data.startswith("[DONE]") and not self._has_events:
            # Without a reason, because the next attempt may succeed.
            raise self._unusable("The server sent an empty stream.", reason=None)
        self._has_events = True
        self._complete = self._complete or _ends_answer(data)
        return _JsonEvent(data=data)

    def _add(self, line: bytes) -> Iterator[str]:
        """Add a line, and yield the data of the event that it ends."""
        if not line:
            yield from self._dispatch()
            return
        if not self._recognized and not is_field(line):
            raise self._unusable("The server sent text instead of an answer.")
        if line.startswith(b"data:") and self._is_whole(self._event.data):
            yield from self._dispatch()  # the server sends no blank line after an event
        self._event.add(line)

    def _is_whole(self, data: GrowingText) -> bool:
        """Return whether data is a complete event, so that the next line cannot belong to it."""
        if data.size <= _MAX_MARK_CHARS and (_is_pause(str(data)) or _is_done(str(data))):
            return True
        return data.starts_with("[DONE]") or self._json.is_object(data)

    def _dispatch(self) -> Iterator[str]:
        kind, data = self._event.kind, str(self._event.data)
        self._event.clear()
        if not data.strip() or _is_pause(data):
            return
        if _is_done(data):
            data = "[DONE]"
        is_chunk = '"delta"' in data and '"choices"' in data
        plain = kind != "error" and is_chunk and '"error"' not in data
        if plain or data.startswith("[DONE]"):
            self._recognized = True
            yield data
        else:
            yield from self._convert(kind, data)

    def _convert(self, kind: str | None, data: str) -> Iterator[str]:
        """Yield an event that is not a plain chunk in OpenAI's form, or nothing if it has none."""
        value = parse_json(data)
        if value is None:
            return  # a pause of the server
        entries = cast("list[object]", value) if isinstance(value, list) else [value]
        first = entries[0] if entries else None
        if not isinstance(first, dict):
            self._recognized = True
            yield error_event(data) if kind == "error" else data  # the client reports it
            return
        fields = cast("dict[str, Any]", first)
        if kind == "error" or is_error(fields):
            self._recognized = True
            yield error_event(fields or data)
        elif (chunk := chunk_of(fields)) is not None:
            self._recognized = True
            yield chunk
        elif "choices" in fields or "usage" in fields:
            yield data

    def _report_early_end(self) -> NoReturn:
        if not self._received_anything:
            raise self._unusable("The server sent an empty response.")
        if not self._recognized:
            raise self._unusable("The server sent a stream that is not an answer.")
        raise httpx2.RemoteProtocolError("the stream ended before the response was complete")

    def _unusable(
        self, message: str, *, reason: Reason | None = "not_a_completion"
    ) -> UnusableResponse:
        return unusable(message, self._content_type, reason=reason)

    def _too_large(self) -> UnusableResponse:
        message = f"The server sent an event of more than {MAX_EVENT_BYTES} bytes."
        return self._unusable(message, reason="too_large")


async def _read_start(iterator: AsyncIterator[bytes]) -> bytes:
    """Return the first bytes after white space and a byte order mark, or nothing at the end."""
    async for data in iterator:
        if start := data.lstrip(_BLANK):
            return start
    return b""


async def _read_document(start: bytes, rest: AsyncIterator[bytes]) -> bytes:
    document = bytearray(start)
    async for data in rest:
        document += data
        if len(document) > MAX_EVENT_BYTES:
            raise EventTooLarge
    return bytes(document)


async def _chain(start: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield start
    async for data in rest:
        yield data


def _events(deltas: Iterator[PlainDelta]) -> Iterator[ServerSentEvent]:
    return (_ParsedEvent(delta.chunk) for delta in deltas)


class _JsonEvent(ServerSentEvent):
    def json(self) -> object:
        """Raises UnusableResponse, also for excessive nesting and huge numbers."""
        value = parse_json(self.data)
        if not is_json(value):
            raise unusable_chunk("The server sent a chunk that is not JSON.")
        return value


class _ParsedEvent(ServerSentEvent):
    def __init__(self, chunk: dict[str, Any]) -> None:
        super().__init__(data=to_json(chunk).decode())
        self._chunk = chunk

    def json(self) -> object:
        return self._chunk


def _ends_answer(data: str) -> bool:
    """Return whether data contains a finish reason, `[DONE]`, or an error."""
    # Patterns that begin with a fixed text are fast, also in an image of several megabytes.
    found = data.startswith("[DONE]") or _FINISH_REASON.search(data) or _ERROR.match(data)
    return bool(found)


def _is_pause(data: str) -> bool:
    return len(data) <= _MAX_MARK_CHARS and _word(data) in _PAUSES


def _is_done(data: str) -> bool:
    return len(data) <= _MAX_MARK_CHARS and _word(data) in _DONE


def _word(data: str) -> str:
    """Return the word in a mark such as `[DONE]` or `"ping"`."""
    return data.strip(' \t\r\n[]:"').lower()
