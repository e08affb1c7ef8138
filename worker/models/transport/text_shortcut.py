"""The shortcut of an answer's text: from the bytes of the response to the run's stream.

The SDK and pydantic-ai take most of the CPU time of a token, and change nothing in the middle of a
text. Text is therefore written as soon as it is decoded, and given to them later, in large pieces.
They still see the whole answer. The first text of a part, everything that is not text, and text
that they may change take the normal path.
"""

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from worker.models.transport.delta_merger import PlainDelta, merge_plain

#: What may belong to a tag or a special token, which the code behind the SDK may change.
_CHANGEABLE = re.compile("[<\u200b-\u200d\u2060\ufeff]")
#: Maximum length of the text that is written, but not yet given to the SDK.
_MAX_HELD_CHARS = 4096

_offered: ContextVar["TextShortcut | None"] = ContextVar("text_shortcut", default=None)


class ShortcutMismatch(RuntimeError):
    """Text was written that the model's response does not contain there. The attempt fails."""

    def __init__(self) -> None:
        super().__init__("The text of the response differs from the text that is already written.")


class TextShortcut:
    """The shortcut of a model response, shared by its decoder and the mapper of its events.

    It is open while the events contain all text that the decoder has given to the SDK, so that the
    code in between holds nothing back. Only the first response of a model request can use it, not
    that of a fallback.
    """

    def __init__(self, write: Callable[[int, str], bool]) -> None:
        """`write` adds text to the part with this index, or returns False if it cannot."""
        self._write = write
        self._has_begun = False
        #: The index of the part to which the last event belongs, if that is a text.
        self._part: int | None = None
        #: The key of the last delta that was given to the SDK.
        self._key: object = None
        #: The text that was given to the SDK, but has not been in an event yet.
        self._underway = ""
        #: How many of its characters are already written.
        self._written = 0
        #: What is written, but not yet given to the SDK.
        self._held: list[PlainDelta] = []
        self._held_chars = 0

    @contextmanager
    def offer(self) -> Generator[None]:
        """Offer the shortcut to the first decoder that starts in this context."""
        token = _offered.set(self)
        try:
            yield
        finally:
            _offered.reset(token)

    def begin(self) -> bool:
        """Return whether the caller is the first decoder."""
        is_first, self._has_begun = not self._has_begun, True
        return is_first

    def pass_delta(self, delta: PlainDelta) -> Iterator[PlainDelta]:
        """Write a delta if possible, and yield what the SDK must handle now."""
        if self._take(delta):
            if self._held_chars > _MAX_HELD_CHARS:
                yield from self.release()
            return
        yield from self.release()
        if delta.field == "content":
            self._key = delta.key
            # Text that is no text in the end, such as reasoning, may be long.
            self._underway = self._underway[-_MAX_HELD_CHARS:] + delta.text
        else:
            self._part = None
        yield delta

    def interrupt(self) -> Iterator[PlainDelta]:
        """Yield what the SDK must handle before an event that is not a plain delta."""
        yield from self.release()
        self._part = None
        if not self._written:
            self._underway = ""

    def release(self) -> Iterator[PlainDelta]:
        """Yield the text that is written and not yet given to the SDK."""
        held, self._held, self._held_chars = self._held, [], 0
        for delta in merge_plain(held):
            self._underway += delta.text
            self._written += len(delta.text)
            yield delta

    def unwritten(self, part: int, text: str, *, starts: bool = False) -> str:
        """Return the rest of an event's text, which is not yet written.

        With `starts`, the event starts a part. Text that was given to the SDK before then is in
        other parts, or was left out.

        Raises:
            ShortcutMismatch: if the event is not a delta of the text that is written.
        """
        written = min(self._written, len(text))
        if text[:written] != self._underway[:written] or (starts and self._written):
            raise ShortcutMismatch
        if starts and text and self._underway.endswith(text):
            self._underway = ""
        elif self._underway.startswith(text):
            self._underway = self._underway[len(text) :]
        self._written -= written
        self._part = part
        return text[written:]

    def close(self) -> None:
        """Keep the shortcut closed until the next event with text."""
        self._part = None

    def _take(self, delta: PlainDelta) -> bool:
        """Write a delta, and return whether that was possible."""
        if self._part is None or self._underway:
            return False
        text = delta.text
        if delta.key != self._key or _CHANGEABLE.search(text):
            return False
        if not self._write(self._part, text):
            return False
        self._held.append(delta)
        self._held_chars += len(text)
        return True


def take_shortcut() -> TextShortcut:
    """Return the shortcut that this context offers, or else one that stays closed."""
    offered = _offered.get()
    if offered is None or not offered.begin():
        return TextShortcut(lambda _part, _text: False)
    return offered
