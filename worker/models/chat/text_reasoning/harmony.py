"""Reads OpenAI's Harmony format, which servers without a parser for it send as text.

An answer consists of messages: `<|channel|>analysis<|message|>…<|end|>`, then
`<|start|>assistant<|channel|>final<|message|>…<|return|>`. The channel `final` is the text, and
`commentary` announces tool calls. Calls in this form are not executed: they count as reasoning.
"""

import re
from collections.abc import Iterator

from worker.models.chat.text_reasoning.piece import TextPiece, partial_length

_ENDS = ("<|end|>", "<|return|>", "<|call|>")
_STARTS = ("<|channel|>", "<|start|>")
_MESSAGE = "<|message|>"
_LONGEST = max(map(len, (*_ENDS, *_STARTS)))
_HEADER = re.compile(
    r"(?:<\|(?:end|return|call)\|>)?\s{0,20}(?=<\|(?:start|channel)\|>)"
    r"(?:<\|start\|>(?P<role>[^<]{0,80}))?"
    r"(?:<\|channel\|>\s*(?P<channel>analysis|commentary|final)\b"
    r"(?P<recipient>(?:\s*to=[\w.:-]{1,80})?)(?:\s+\w{1,20})?\s*)?"
    r"(?:<\|constrain\|>[^<]{0,40})?<\|message\|>"
)
#: Longer than any header with an end before it.
_MAX_HEADER_CHARS = 300
_BOUNDARY = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_LAST_TOKEN = re.compile(r"<\|(?:end|return)\|>\s{0,20}\Z")
_INTERRUPTED = re.compile(r"(?:<\|(?:end|return|call)\|>)?\s*(?:<\|(?:start|channel)\|>[^<]*)*\Z")


def starts_harmony(text: str) -> bool | None:
    """Return whether a text starts with the header of a message; None if it is too short."""
    if not text.startswith(_STARTS):
        return None if any(token.startswith(text) for token in _STARTS) else False
    if _MESSAGE not in text and len(text) < _MAX_HEADER_CHARS:
        return None
    return _HEADER.match(text) is not None


class HarmonyReader:
    """Reads a text that starts with the header of a message."""

    finished = False

    def __init__(self) -> None:
        self._buffer = ""
        self._in_header = True
        #: Whether the current message is reasoning, and whether it is the last one.
        self._reasoning = True
        self._last = False

    def split(self, text: str) -> Iterator[TextPiece]:
        self._buffer += text
        at = 0
        while (end := self._end_of_step(at)) is not None:
            yield from self._piece(at, end)
            at = self._advance(end)
        end = at if self._in_header else len(self._buffer) - self._held_back(at)
        yield from self._piece(at, end)
        self._buffer = self._buffer[end:]

    def rest(self) -> Iterator[TextPiece]:
        """Return the buffered text, without an end or an incomplete header."""
        if self._last:
            self._buffer = _LAST_TOKEN.sub("", self._buffer)
        elif self._in_header and _INTERRUPTED.match(self._buffer):
            self._buffer = ""
        yield from self._piece(0, len(self._buffer))

    def _piece(self, start: int, end: int) -> Iterator[TextPiece]:
        if start < end:
            yield TextPiece(self._buffer[start:end], "" if self._reasoning else None)

    def _end_of_step(self, at: int) -> int | None:
        """Return the end of the text before the next header; None if more text is needed."""
        if self._in_header:
            found = self._buffer.find(_MESSAGE, at, at + _MAX_HEADER_CHARS)
            undecided = found < 0 and len(self._buffer) - at < _MAX_HEADER_CHARS
            return None if undecided else self._end_of_mention(at)
        boundary = None if self._last else _BOUNDARY.search(self._buffer, at)
        return boundary.start() if boundary else None

    def _end_of_mention(self, at: int) -> int:
        """Return the end of a token that only occurs in the text; `at` if a header starts there."""
        token = None if _HEADER.match(self._buffer, at) else _BOUNDARY.match(self._buffer, at)
        return token.end() if token else at

    def _advance(self, at: int) -> int:
        """Change between header and text. Return the position after a header."""
        self._in_header = not self._in_header
        if self._in_header:
            return at
        header = _HEADER.match(self._buffer, at)
        if header is None:
            return at
        channel = header["channel"] or "final"
        addressed = "to=" in f"{header['role']}{header['recipient']}"
        self._reasoning = channel == "analysis" or addressed
        self._last = channel == "final"
        return header.end()

    def _held_back(self, at: int) -> int:
        """Return the number of characters at the end of the buffer that may be a token."""
        if self._last and (last := _LAST_TOKEN.search(self._buffer, at)):
            return len(self._buffer) - last.start()
        return partial_length(self._buffer[at:][-_LONGEST:], *_ENDS, *_STARTS)
