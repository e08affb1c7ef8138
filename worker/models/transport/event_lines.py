"""Splits a byte stream into the lines and events of server-sent events, with limits on both."""

from collections.abc import Iterator

from worker.models.transport.growing_text import GrowingText

#: Maximum size of a line and of an event. An image in an answer has a few MiB.
MAX_EVENT_BYTES = 8 * 2**20
#: What a line of an event occupies besides its text.
_LINE_BYTES = 64


class EventTooLarge(Exception):
    """A line or an event exceeds the limit."""


class LineSplitter:
    """Splits at LF, CRLF and CR, without copying long lines repeatedly."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._after_cr = False

    @property
    def is_empty(self) -> bool:
        """Whether the data so far ends with a complete line."""
        return not self._rest and not self._after_cr

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that this data completes."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        if not data:
            return
        self._after_cr = data.endswith(b"\r")
        ends_line = data[-1:] in (b"\n", b"\r")
        lines = data.splitlines()
        last = None if ends_line else lines.pop()
        for line in lines:
            if self._rest:
                self._extend(line)
                line, self._rest = bytes(self._rest), bytearray()  # noqa: PLW2901
            yield line
        if last is not None:
            self._extend(last)

    def _extend(self, data: bytes) -> None:
        self._rest += data
        if len(self._rest) > MAX_EVENT_BYTES:
            raise EventTooLarge


class EventParser:
    """Collects the fields of one event."""

    def __init__(self) -> None:
        self.kind: str | None = None
        self.data = GrowingText(separator="\n")
        self._size = 0

    @property
    def is_empty(self) -> bool:
        return self.kind is None and not self.data

    def add(self, line: bytes) -> None:
        """Add a line. Lines that are no field of an event are ignored."""
        name, _, value = line.partition(b":")
        text = value.removeprefix(b" ")
        if name == b"event":
            self.kind = text.decode(errors="replace").strip() or None
        elif name in (b"data", b"error"):  # llama.cpp sends `error`
            self._size += len(text) + _LINE_BYTES
            if self._size > MAX_EVENT_BYTES:
                raise EventTooLarge
            self.data.add(text.decode(errors="replace"))
            self.kind = "error" if name == b"error" else self.kind

    def clear(self) -> None:
        self.kind, self._size = None, 0
        self.data.clear()


def is_field(line: bytes) -> bool:
    """Return whether a line can be part of an event stream."""
    name = line.partition(b":")[0]
    return name in (b"", b"data", b"event", b"id", b"retry", b"error")
