"""The view of a run's stream that one client receives."""

from collections.abc import Iterator, Sequence

from api.streaming.message_replay import TruncatedReplay, message_parts, without_execution
from api.streaming.stream_format import UI_MESSAGE, StreamFormat
from shared.streams.event_stream import START, Cursor, Entry


class StreamView:
    """Converts a run's entries to what one client receives.

    It applies the stream format, leaves out what the client received before `after`, and replays
    the parts of the message's earlier runs to a client that rebuilds the message. `earlier_runs`
    are the ids of those runs; None means that some of them are no longer stored. `source` is the
    run of the last event of a replay that was interrupted: `after` is a cursor of that run.
    """

    def __init__(
        self,
        stream_format: StreamFormat = UI_MESSAGE,
        after: Cursor = START,
        *,
        earlier_runs: Sequence[str] | None = (),
        rebuild: bool = False,
        source: str | None = None,
        skipped: int = 0,
        merged: bool = False,
    ) -> None:
        """`skipped` is the number of the run's first entries that the client does not receive.

        With `merged`, the client accepts merged deltas in place of stored ones.
        """
        self.stream_format = stream_format
        self.rebuild = rebuild
        #: Whether the first entry is sent alone, before the parts of earlier runs.
        self.splits_start = bool(earlier_runs) or (rebuild and earlier_runs is None)
        self._after = after
        self._source = source
        self._converter = stream_format.converter and stream_format.converter()
        self._truncate = TruncatedReplay() if rebuild and earlier_runs is None else None
        self._earlier_runs = earlier_runs or ()
        #: The offset up to which the client has the run. A replay begins with its first entry.
        self._offset = max(skipped, 1 if source else after.offset)
        self._filters = bool(self._converter or source or skipped)
        #: Whether stored deltas are merged: not if a merged one might begin before the cursor.
        self.merged = merged and not skipped and (self._converter is None or after == START)

    @property
    def read_from(self) -> Cursor:
        """The cursor to read the stream from. A converter needs everything before `after` too."""
        return START if self._converter or self._source else self._after

    def apply(self, entries: list[Entry]) -> list[Entry]:
        """Return what the client receives for the next entries of the stream."""
        visible = self._truncate(entries) if self._truncate else entries
        if self._converter:
            visible = self._converter(visible)
        if self._filters:
            visible = [entry for entry in visible if entry.offset > self._offset]
        return visible

    def earlier_runs(self) -> Iterator[tuple[str, Cursor]]:
        """Return the runs to read after the first entry of this run, and from where."""
        runs = self._earlier_runs
        first = runs.index(self._source) if self._source in runs and not self._converter else 0
        for run_id in runs[first:]:
            is_source = run_id == self._source and not self._converter
            yield run_id, self._after if is_source else START

    def apply_earlier(self, run_id: str, entries: list[Entry]) -> list[Entry]:
        """Return what the client receives for entries of an earlier run.

        The converter processes them even without a replay: it tracks their tool calls.
        """
        parts = message_parts(entries)
        parts = self._converter(parts) if self._converter else without_execution(parts)
        if not self.rebuild:
            return []
        runs = self._earlier_runs
        if self._source not in runs:
            return parts
        at, source = runs.index(run_id), runs.index(self._source)
        return [e for e in parts if (at, e.offset) > (source, self._after.offset)]

    def convert(self, entries: list[Entry]) -> list[Entry]:
        """Return the entries in the stream format."""
        return self._converter(entries) if self._converter else entries
