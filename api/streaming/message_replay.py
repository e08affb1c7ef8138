"""What a message's earlier runs have said, for a client that reads the newest run from its start.

The newest clients empty the message at a replay's `start`: the parts of the earlier runs have to
follow it, or the results of their calls have nothing to stand in.
"""

from collections.abc import Iterable

from shared.streams.event_stream import Entry
from shared.streams.events import DONE

_LEFT_OUT = tuple(
    b'{"type":"%b"' % kind for kind in (b"start", b"finish", b"abort", b"error", b"data-error")
)
_STEP = b'{"type":"start-step"'


def message_events(entries: Iterable[Entry]) -> list[Entry]:
    """The entries that make the message's parts."""
    return [e for e in entries if e.data != DONE and not e.data.startswith(_LEFT_OUT)]


class TruncatedReplay:
    """A log whose message has lost its beginning: without the results of calls that went with it.

    They stand before the first step of its own.
    """

    def __init__(self) -> None:
        self._open = False

    def __call__(self, entries: Iterable[Entry]) -> list[Entry]:
        return [entry for entry in entries if self._kept(entry)]

    def _kept(self, entry: Entry) -> bool:
        own = entry.data.startswith((*_LEFT_OUT, _STEP)) or entry.data == DONE
        self._open |= own and entry.offset > 1
        return own or self._open
