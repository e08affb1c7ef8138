"""Following a run's stream: catch up by reading it, then receive what is published.

The two are joined by offset. The follower checks that each entry is the next one and, on any gap
(a lost message, a reconnect, a slow reader), reads the stream again from its cursor. All followers
of a process share one subscriber connection.
"""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager

from shared.errors import CursorLost
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE
from shared.redis.subscriber import Subscriptions
from shared.streams.delta_merging import parse_merged
from shared.streams.event_stream import START, Cursor, Entry, EventStream, parse_entries
from shared.streams.page_reader import PROCESS_BUDGET, RETRY_SECONDS, PageReader
from shared.streams.single_waiter_event import SingleWaiterEvent
from shared.telemetry.metrics import STREAM_CATCH_UPS, STREAM_GAPS

#: Parses the lines of a page.
_Parser = Callable[[bytes], list[Entry]]


class FollowerFactory:
    """Creates the followers of one process."""

    def __init__(
        self, stream: EventStream, subscriptions: Subscriptions, *, max_bytes: int
    ) -> None:
        self._stream = stream
        self._subscriptions = subscriptions
        #: The bytes that each new follower may buffer.
        self.max_bytes = max_bytes

    @contextmanager
    def follow(
        self, run_id: str, after: Cursor = START, *, merged: bool = False
    ) -> Generator["Follower"]:
        """Follow a run's stream after a cursor while the context lasts.

        With `merged`, stored deltas are merged, but not those that are published from now on.
        """
        channel, pages = keys.stream(run_id), self._pages(run_id)
        follower = Follower(pages, run_id, after, self.max_bytes, _parser(merged))
        self._subscriptions.add(channel, follower)
        try:
            yield follower
        finally:
            self._subscriptions.remove(channel, follower)
            pages.release()

    @contextmanager
    def replay(
        self, run_id: str, after: Cursor = START, *, merged: bool = False
    ) -> Generator["Replay"]:
        """Read the stream of an ended run after a cursor while the context lasts.

        With `merged`, deltas are merged.
        """
        pages = self._pages(run_id)
        try:
            yield Replay(pages, after, _parser(merged))
        finally:
            pages.release()

    def _pages(self, run_id: str) -> PageReader:
        return PageReader(self._stream, run_id, PROCESS_BUDGET)


class Replay:
    """A reader of a run that has ended."""

    def __init__(self, pages: PageReader, after: Cursor, parse: _Parser) -> None:
        self._pages = pages
        self._parse = parse
        self._cursor = after
        self.ended = False

    async def read(self) -> list[Entry]:
        """Return the next entries, as `read_page`, or none if Redis is unavailable."""
        try:
            return await self.read_page()
        except REDIS_UNAVAILABLE:
            await asyncio.sleep(RETRY_SECONDS)
            return []

    async def read_page(self) -> list[Entry]:
        """Return the next entries, or none while there is no room for them.

        The caller must no longer hold the entries that the previous call returned.

        Raises:
            CursorLost: if the stream is no longer stored.
            REDIS_UNAVAILABLE: if Redis cannot be reached.
        """
        page = await self._pages.read(self._cursor)
        entries = self._parse(page.lines)
        if entries:
            self._cursor = entries[-1].cursor
        self.ended = not page.more
        if self._cursor == START and self.ended:
            raise CursorLost
        return entries


class Follower:
    """A reader of one run. It buffers at most `max_bytes`, and reads the stream beyond that."""

    def __init__(
        self,
        pages: PageReader,
        run_id: str,
        after: Cursor,
        max_bytes: int,
        parse: _Parser = parse_entries,
    ) -> None:
        self.run_id = run_id
        self.cursor = after
        self._pages = pages
        self._max_bytes = max_bytes
        #: Parses what is read from the stream.
        self._parse = parse
        self._buffer: list[bytes] = []
        self._buffered_bytes = 0
        #: Why the stream must be read, or None.
        self._behind: str | None = None
        self._changed = SingleWaiterEvent()

    def on_message(self, message: bytes) -> None:
        if self._behind:
            return
        self._buffer.append(message)
        self._buffered_bytes += len(message)
        if self._buffered_bytes > self._max_bytes:
            self._fall_behind("slow")
        self._changed.set()

    def on_gap(self) -> None:
        self._fall_behind("subscribed")
        self._changed.set()

    def notify(self) -> None:
        """Make a waiting `read` return, even without entries."""
        self._changed.set()

    async def read(self) -> list[Entry]:
        """Return the next entries, or none after `notify` or if they cannot be read now.

        The caller must no longer hold the entries that the previous call returned.

        Raises:
            CursorLost: if Redis lost entries that were returned before.
        """
        self._pages.release()
        if not self._buffer and not self._behind:
            await self._changed.wait()
        self._changed.clear()
        entries = self._take_buffered()
        if entries or not self._behind:
            return entries
        try:
            return await self._catch_up()
        except REDIS_UNAVAILABLE:
            await asyncio.sleep(RETRY_SECONDS)
            return []

    def _take_buffered(self) -> list[Entry]:
        """Return the published entries up to the first gap. The stream holds the rest."""
        entries: list[Entry] = []
        messages, self._buffer = self._buffer, []
        for message in messages:
            for entry in parse_entries(message):
                if entry.offset > self.cursor.offset + 1:
                    self._fall_behind("missed")
                    return entries
                if entry.offset > self.cursor.offset:
                    entries.append(entry)
                    self.cursor = entry.cursor
                elif entry.attempt > self.cursor.attempt:
                    # The attempt began before the cursor: Redis lost what was read after that.
                    STREAM_GAPS.inc(self.cursor.offset - entry.offset + 1)
                    raise CursorLost
        self._buffered_bytes = 0
        return entries

    async def _catch_up(self) -> list[Entry]:
        # Entries published from here on are buffered and joined to the page by their offsets.
        reason, self._behind = self._behind, None
        try:
            page = await self._pages.read(self.cursor)
        except BaseException:
            # A cancelled read still has to catch up later.
            self._behind = reason
            raise
        entries = self._parse(page.lines)
        if page.more and not entries:
            self._behind = reason
            return []
        STREAM_CATCH_UPS.labels(reason).inc()
        if page.more:
            self._fall_behind("more")
        if entries:
            _count_missing(self.cursor, entries)
            self.cursor = entries[-1].cursor
        return entries

    def _fall_behind(self, reason: str) -> None:
        self._behind = reason
        self._buffer = []
        self._buffered_bytes = 0


def _count_missing(after: Cursor, entries: list[Entry]) -> None:
    """Count the entries that Redis lost: a complete stream has no gaps."""
    found = sum(1 + entry.merged_count for entry in entries)
    if missing := entries[-1].offset - after.offset - found:
        STREAM_GAPS.inc(missing)


def _parser(merged: bool) -> _Parser:  # noqa: FBT001  (a choice, made by the callers' keyword)
    return parse_merged if merged else parse_entries
