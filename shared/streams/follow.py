"""Following a run's log: catch up by reading it, then ride what is published.

The two are joined by offset: every entry is checked to be the next one, and whatever looks like a
hole (a lost message, a reconnect, a reader that fell behind) is healed by reading the log again
from the reader's own cursor. All followers of a process share one subscriber connection.
"""

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

from shared.redis import keys
from shared.redis.client import REDIS_AWAY
from shared.redis.subscriber import Subscriptions
from shared.streams.event_stream import START, Cursor, Entry, EventStream
from shared.telemetry.metrics import STREAM_CATCH_UPS, STREAM_GAPS

_RETRY_SECONDS = 0.2


class Follower:
    """One a process."""

    def __init__(self, stream: EventStream, subscriber: Subscriptions, *, max_bytes: int) -> None:
        self._stream = stream
        self._subscriber = subscriber
        #: What each reader from now on may hold.
        self.max_bytes = max_bytes

    @contextmanager
    def follow(self, run_id: str, after: Cursor = START) -> Generator["Following"]:
        """Follow a run's log from a cursor on, for as long as the context lasts."""
        channel = keys.stream(run_id)
        following = Following(self._stream, run_id, after, self.max_bytes)
        self._subscriber.add(channel, following)
        try:
            yield following
        finally:
            self._subscriber.remove(channel, following)


class Following:
    """A reader's place in a log. It holds `max_bytes` at most: past that it reads the log."""

    def __init__(self, stream: EventStream, run_id: str, after: Cursor, max_bytes: int) -> None:
        self.run_id = run_id
        self.cursor = after
        self._stream = stream
        self._max_bytes = max_bytes
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        #: Why the log has to be read; None: it need not.
        self._behind: str | None = None
        self._bell = asyncio.Event()

    def on_message(self, message: bytes) -> None:
        if self._behind:
            return
        self._held.append(message)
        self._held_bytes += len(message)
        if self._held_bytes > self._max_bytes:
            self._fall_behind("slow")
        self._bell.set()

    def on_gap(self) -> None:
        self._fall_behind("subscribed")
        self._bell.set()

    def ring(self) -> None:
        """Make a waiting `read` return, if only with nothing."""
        self._bell.set()

    async def read(self) -> list[Entry]:
        """The next entries; none if it was woken by `ring`, or Redis is away."""
        if not self._held and not self._behind:
            await self._bell.wait()
        self._bell.clear()
        entries = self._take_held()
        if entries or not self._behind:
            return entries
        try:
            return await self._catch_up()
        except REDIS_AWAY:
            await asyncio.sleep(_RETRY_SECONDS)
            return []

    def _take_held(self) -> list[Entry]:
        """What was published, up to a hole: the rest is in the log."""
        entries: list[Entry] = []
        while self._held:
            for line in self._held.popleft().split(b"\n"):
                entry = _parse(line)
                if entry.offset > self.cursor.offset + 1:
                    self._fall_behind("missed")
                    return entries
                if entry.offset > self.cursor.offset:
                    entries.append(entry)
                    self.cursor = entry.cursor
        self._held_bytes = 0
        return entries

    async def _catch_up(self) -> list[Entry]:
        # What is published from here on is held, and joined to the page by its offsets.
        reason, self._behind = self._behind, None
        try:
            page = await self._stream.read(self.run_id, self.cursor)
        except BaseException:
            # A cancelled reader, too, still has to catch up.
            self._behind = reason
            raise
        STREAM_CATCH_UPS.labels(reason).inc()
        if page.more:
            self._fall_behind("more")
        if page.entries:
            _count_holes(self.cursor, page.entries)
            self.cursor = page.entries[-1].cursor
        return page.entries

    def _fall_behind(self, reason: str) -> None:
        self._behind = reason
        self._held.clear()
        self._held_bytes = 0


def _count_holes(after: Cursor, entries: list[Entry]) -> None:
    """A log has none: whatever is counted here was lost."""
    if missing := entries[-1].offset - after.offset - len(entries):
        STREAM_GAPS.inc(missing)


def _parse(line: bytes) -> Entry:
    entry_id, _, data = line.partition(b" ")
    attempt, _, offset = entry_id.partition(b"-")
    return Entry(int(attempt), int(offset), data)
