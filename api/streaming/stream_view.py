"""The view of a run's stream that one client receives."""

from collections.abc import Sequence

from api.streaming.message_replay import TruncatedReplay, message_parts
from api.streaming.stream_format import UI_MESSAGE, StreamFormat
from shared.streams.event_stream import START, Cursor, Entry


class StreamView:
    """Converts a run's entries to what one client receives.

    It applies the stream format, leaves out what the client received before `after`, and replays
    the parts of the message's earlier runs to a client that rebuilds the message. `earlier_runs`
    are the ids of those runs; None means that some of them are no longer stored.
    """

    def __init__(
        self,
        stream_format: StreamFormat = UI_MESSAGE,
        after: Cursor = START,
        *,
        earlier_runs: Sequence[str] | None = (),
        rebuild: bool = False,
    ) -> None:
        self.stream_format = stream_format
        self._after = after
        self._converter = stream_format.converter and stream_format.converter()
        self._rebuild = rebuild
        self._truncate = TruncatedReplay() if rebuild and earlier_runs is None else None
        #: The runs to pass to `apply_earlier`, after the first entry of this run.
        self.earlier_runs = earlier_runs or ()

    @property
    def read_from(self) -> Cursor:
        """The cursor to read the stream from. A converter needs everything before `after` too."""
        return START if self._converter else self._after

    def apply(self, entries: list[Entry]) -> list[Entry]:
        """Return what the client receives for the next entries of the stream."""
        visible = self._truncate(entries) if self._truncate else entries
        if self._converter:
            visible = [e for e in self._converter(visible) if e.offset > self._after.offset]
        return visible

    def apply_earlier(self, entries: list[Entry], start: Entry) -> list[Entry]:
        """Return what the client receives for entries of an earlier run, with the id of `start`.

        The converter processes them even without a replay: it tracks their tool calls.
        """
        parts = self.convert(message_parts(entries))
        return [start._replace(data=part.data) for part in parts] if self._rebuild else []

    def convert(self, entries: list[Entry]) -> list[Entry]:
        """Return the entries in the stream format."""
        return self._converter(entries) if self._converter else entries
