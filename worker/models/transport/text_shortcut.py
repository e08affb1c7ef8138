"""The shortcut of an answer's text: from the bytes of the response to the run's stream.

The SDK and pydantic-ai take most of the CPU time of a token, and change nothing in the middle of a
text. Text is therefore written as soon as it is decoded, and given to them later, in large pieces.
They still see the whole answer. The first text of a part, everything that is not text, and text
that they may change take the normal path.
"""

import re
from collections.abc import Callable, Generator, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from worker.models.transport.delta_merger import PlainDelta

#: What may belong to a tag or a special token. The code behind the SDK holds back or changes only
#: text that starts with one of these characters, or the white space at the start of a part.
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

    It opens when an event contains exactly the last text that was given to the SDK, because the
    code in between then holds nothing back. It is for the only response of a model request: if
    another one starts, such as that of a fallback, it stays closed.
    """

    def __init__(self, write: Callable[[int, str], bool]) -> None:
        """`write` adds text to the part with this index, or returns False if it cannot."""
        self._write = write
        self._decoders = 0
        #: The index of the text part that the next delta continues; None while it is closed.
        self._part: int | None = None
        #: The last delta that was given to the SDK, if it is a text and no event has followed.
        self._given: str | None = None
        #: The key of the last text that was given to the SDK.
        self._key: Hashable = None
        #: The texts that are written, but not yet given to the SDK, and the last one's delta.
        self._held: list[str] = []
        self._held_chars = 0
        self._last: PlainDelta | None = None
        #: The text that is written and given to the SDK, but has not been in an event yet.
        self._written = ""

    @contextmanager
    def offer(self) -> Generator[None]:
        """Offer the shortcut to the decoders that start in this context."""
        token = _offered.set(self)
        try:
            yield
        finally:
            _offered.reset(token)

    def begin(self) -> bool:
        """Count a decoder that starts, and return whether it is the first one."""
        self._decoders += 1
        return self._decoders == 1

    def pass_delta(self, delta: PlainDelta) -> Iterator[PlainDelta]:
        """Write a delta if possible, and yield what the SDK must handle now."""
        if not self._take(delta):
            yield from self.interrupt()
            if delta.field == "content":
                self._given, self._key = delta.text, delta.key
            yield delta
        elif self._held_chars > _MAX_HELD_CHARS:
            yield from self.release()

    def interrupt(self) -> Iterator[PlainDelta]:
        """Close the shortcut, and yield what the SDK must handle before another event."""
        yield from self.release()
        self._part = self._given = None

    def release(self) -> Iterator[PlainDelta]:
        """Yield the text that is written and not yet given to the SDK, as one delta."""
        if (delta := self._last) is None:
            return
        text = delta.holder[delta.field] = "".join(self._held)
        self._held, self._held_chars, self._last = [], 0, None
        self._written += text
        self._part, self._given = None, text
        yield delta

    def unwritten(self, part: int, text: str, *, starts: bool = False) -> str:
        """Return the rest of an event's text, which is not yet written.

        With `starts`, the event starts a part.

        Raises:
            ShortcutMismatch: if the event is not a delta of the text that is written.
        """
        length = min(len(self._written), len(text))
        if text[:length] != self._written[:length] or (starts and self._written):
            raise ShortcutMismatch
        self._written = self._written[length:]
        is_unchanged = text == self._given and not _CHANGEABLE.search(text)
        self._part = part if is_unchanged else None
        self._given = None
        return text[length:]

    def close(self) -> None:
        """Keep the shortcut closed until the next event with text."""
        self._part = self._given = None

    def _take(self, delta: PlainDelta) -> bool:
        """Write a delta, and return whether that was possible."""
        text = delta.text
        if self._part is None or self._decoders > 1 or delta.key != self._key:
            return False
        if _CHANGEABLE.search(text) or not self._write(self._part, text):
            return False
        self._held.append(text)
        self._held_chars += len(text)
        self._last = delta
        return True


def take_shortcut() -> TextShortcut:
    """Return the shortcut that this context offers, or else one that stays closed."""
    offered = _offered.get()
    if offered is None or not offered.begin():
        return TextShortcut(lambda _part, _text: False)
    return offered
