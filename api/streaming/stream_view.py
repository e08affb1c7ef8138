"""The view of a run's stream that one client receives."""

from collections.abc import Sequence

from api.streaming.message_replay import TruncatedReplay, message_parts
from api.streaming.stream_format import UI_MESSAGE, StreamFormat
from shared.streams.event_stream import START, Cursor, Entry


class StreamView:
    """Converts a run's entries to what one client receives.

    It applies the stream format, leaves out what the client received before `after`, and replays
    the parts of the message's earlier runs to a client that rebuilds the message. `earlier` holds
    the entries of those runs; None means that some of them are no longer stored.
    """

    def __init__(
        self,
        stream_format: StreamFormat = UI_MESSAGE,
        after: Cursor = START,
        *,
        earlier: Sequence[Entry] | None = (),
        rebuild: bool = False,
    ) -> None:
        self.stream_format = stream_format
        self._after = after
        self._converter = stream_format.converter and stream_format.converter()
        # The converter processes earlier parts even without a replay: it tracks their tool calls.
        parts = self.convert(message_parts(earlier or ()))
        self._replay = parts if rebuild else []
        self._truncate = TruncatedReplay() if rebuild and earlier is None else None

    @property
    def read_from(self) -> Cursor:
        """The cursor to read the stream from. A converter needs everything before `after` too."""
        return START if self._converter else self._after

    def apply(self, entries: list[Entry]) -> list[Entry]:
        """Return what the client receives for the next entries of the stream."""
        visible = self._truncate(entries) if self._truncate else entries
        if self._converter:
            visible = [e for e in self._converter(visible) if e.offset > self._after.offset]
        return self._insert_replay(entries[0], visible) if entries and self._replay else visible

    def convert(self, entries: list[Entry]) -> list[Entry]:
        """Return the entries in the stream format."""
        return self._converter(entries) if self._converter else entries

    def _insert_replay(self, start: Entry, visible: list[Entry]) -> list[Entry]:
        """Insert the replay after the `start` event, with its id."""
        replay = [start._replace(data=entry.data) for entry in self._replay]
        self._replay = []
        index = int(start in visible)
        return [*visible[:index], *replay, *visible[index:]]
