"""Recognizes the form of the reasoning at the start of a text."""

from collections.abc import Iterator

from worker.models.chat.text_reasoning.harmony import HarmonyReader, starts_harmony
from worker.models.chat.text_reasoning.piece import TextPiece
from worker.models.chat.text_reasoning.tags import TAGS, TagReader

#: Reasoning starts within this many characters, white space included.
_MAX_START_CHARS = 1_000


class ReasoningParser:
    """Separates reasoning from a text that starts with it. Later tags are plain text.

    `tag` is the name of another tag that starts reasoning, besides `TAGS`.
    """

    def __init__(self, tag: str | None = None) -> None:
        self._openings = {f"<{name}>": name for name in (*TAGS, *((tag,) if tag else ()))}
        self._reader: TagReader | HarmonyReader | None = None
        self._buffer: str = ""
        #: Whether the rest of the text is plain.
        self.finished = False

    def split(self, text: str) -> Iterator[TextPiece]:
        """Add a text, and yield what is certain of the buffered text."""
        if self._reader is None and not self.finished:
            self._buffer += text
            if not self._detect():
                return
            text, self._buffer = self._buffer, ""
        if self._reader is None:
            yield TextPiece(text)
            return
        yield from self._reader.split(text)
        if self._reader.finished:
            self._reader, self.finished = None, True

    def rest(self) -> Iterator[TextPiece]:
        """Yield the buffered text at the end of the stream, where nothing can follow it."""
        if self._reader is not None:
            yield from self._reader.rest()
        elif self._buffer:
            yield TextPiece(self._buffer)

    def _detect(self) -> bool:
        """Return whether the buffer suffices to recognize how the text starts."""
        start = self._buffer.lstrip()
        opening = next((tag for tag in self._openings if start.startswith(tag)), None)
        harmony = starts_harmony(start)
        if opening is not None:
            self._reader, self._buffer = TagReader(self._openings[opening]), start[len(opening) :]
        elif harmony:
            self._reader, self._buffer = HarmonyReader(), start
        else:
            undecided = harmony is None or any(tag.startswith(start) for tag in self._openings)
            self.finished = not undecided or len(self._buffer) > _MAX_START_CHARS
        return self._reader is not None or self.finished
