"""Separates reasoning in `<think>` tags from the text of a streamed answer."""

from collections.abc import Iterator

_OPEN, _CLOSE = "<think>", "</think>"
#: The white space that may precede the opening tag.
_MAX_SPACE = 1_000


class ThinkingParser:
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
        """Return whether the buffer suffices to decide if the text starts with the tag."""
        start = self._buffer.lstrip()
        if start.startswith(_OPEN):
            self._inside, self._buffer = True, start[len(_OPEN) :].lstrip("\n")
        elif not _OPEN.startswith(start) or len(self._buffer) > _MAX_SPACE:
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
    """Return the number of characters at the end of a text that may start the closing tag."""
    longest = min(len(text), len(_CLOSE) - 1)
    return next((n for n in range(longest, 0, -1) if _CLOSE.startswith(text[-n:])), 0)
