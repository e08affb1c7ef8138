"""Writes most of an answer's text to the run's stream before the SDK has handled it.

The SDK and pydantic-ai use most of the CPU time of a token, but do not change the middle of a text.
They receive the whole text later, in large pieces. The first text of a part, everything that is not
text, and text that they may change take the normal path.
"""

import re
from collections.abc import Callable, Generator, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from worker.models.transport.delta_merger import PlainDelta

#: `<` can start a tag or a special token, inside which pydantic-ai removes zero-width characters.
#: Otherwise, pydantic-ai and `worker/models/chat` change or hold back only white space at the start
#: of a part.
_CHANGEABLE = re.compile("[<\u200b-\u200d\u2060\ufeff]")
#: Longer text is passed to the SDK, where it is split into pieces if it is very long.
_MAX_PENDING_CHARS = 4096

_offered: ContextVar["TextShortcut | None"] = ContextVar("text_shortcut", default=None)


class ShortcutMismatch(RuntimeError):
    """The response differs from or lacks text that is already written, so the run fails."""

    def __init__(self) -> None:
        super().__init__("The text of the response differs from the text that is already written.")


class TextShortcut:
    """Writes text early, and later removes it from the events of the response.

    The decoder of the response and the mapper of its events share it. It opens when an event
    contains exactly the text that was last passed to the SDK, because the code in between then
    holds nothing back. It closes for good if another response starts during the model request,
    such as that of a fallback.
    """

    def __init__(self, write: Callable[[int, str], bool]) -> None:
        """`write` adds text to the part with this index, or returns False if it cannot."""
        self._write = write
        self._decoders = 0
        #: The index of the text part that the next delta continues; None if the shortcut is closed.
        self._part: int | None = None
        #: The text last passed to the SDK, until the next event arrives.
        self._last_passed: str | None = None
        #: The key of the text last passed to the SDK.
        self._key: Hashable = None
        #: The texts that are written, but not yet passed to the SDK, and the last one's delta.
        self._pending: list[str] = []
        self._pending_chars = 0
        self._last_pending: PlainDelta | None = None
        #: The text that is written and passed to the SDK, but has not arrived in an event yet.
        self._expected = ""

    @contextmanager
    def offer(self) -> Generator[None]:
        """Offer the shortcut to the decoders that start in this context."""
        token = _offered.set(self)
        try:
            yield
        finally:
            _offered.reset(token)
            # Pooled connections keep a copy of this context, which refers to this object. Drop the
            # callback so that they do not also keep the run in memory.
            self._write = _write_nothing

    def add_decoder(self) -> bool:
        """Count a decoder that starts, and return whether it is the first one."""
        self._decoders += 1
        return self._decoders == 1

    def pass_delta(self, delta: PlainDelta) -> Iterator[PlainDelta]:
        """Write a delta if possible, and yield what the SDK must handle now."""
        if not self._try_write(delta):
            yield from self.interrupt()
            if delta.field == "content":
                self._last_passed, self._key = delta.text, delta.key
            yield delta
        elif self._pending_chars > _MAX_PENDING_CHARS:
            yield from self.release()

    def interrupt(self) -> Iterator[PlainDelta]:
        """Close the shortcut, and yield what the SDK must handle before another event."""
        yield from self.release()
        self.close()

    def release(self) -> Iterator[PlainDelta]:
        """Yield the pending text as one delta, and close the shortcut until its event arrives."""
        if (delta := self._last_pending) is None:
            return
        text = delta.holder[delta.field] = "".join(self._pending)
        self._pending, self._pending_chars, self._last_pending = [], 0, None
        self._expected += text
        self._part, self._last_passed = None, text
        yield delta

    def unwritten(self, part: int, text: str, *, starts: bool = False) -> str:
        """Return the rest of an event's text, which is not written yet.

        With `starts`, the event starts a part.

        Raises:
            ShortcutMismatch: if the text differs from the written one, or starts a part while an
                event with written text is still expected.
        """
        length = min(len(self._expected), len(text))
        if text[:length] != self._expected[:length] or (starts and self._expected):
            raise ShortcutMismatch
        self._expected = self._expected[length:]
        is_unchanged = text == self._last_passed and not _CHANGEABLE.search(text)
        self._part = part if is_unchanged else None
        self._last_passed = None
        return text[length:]

    def end(self) -> None:
        """Check that all written text has arrived in events.

        Raises:
            ShortcutMismatch: if the response lacks written text.
        """
        if self._pending or self._expected:
            raise ShortcutMismatch

    def close(self) -> None:
        """Close the shortcut until an event contains the text that is next passed to the SDK."""
        self._part = self._last_passed = None

    def _try_write(self, delta: PlainDelta) -> bool:
        """Write a delta, and return whether that was possible."""
        text = delta.text
        if self._part is None or self._decoders > 1 or delta.key != self._key:
            return False
        if len(text) > _MAX_PENDING_CHARS or _CHANGEABLE.search(text):
            return False
        if not self._write(self._part, text):
            return False
        self._pending.append(text)
        self._pending_chars += len(text)
        self._last_pending = delta
        return True


def current_shortcut() -> TextShortcut:
    """Return the shortcut that this context offers, or else one that stays closed."""
    offered = _offered.get()
    if offered is None or not offered.add_decoder():
        return TextShortcut(_write_nothing)
    return offered


def _write_nothing(_part: int, _text: str) -> bool:
    return False
