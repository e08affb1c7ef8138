"""A follower on real Redis, and the writers of the runs that it follows."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from shared.redis.client import Redis
from shared.redis.subscriber import Subscriber
from shared.runs.store import RunStore
from shared.streams.event_stream import (
    PAGE_SIZE,
    START,
    Append,
    Closure,
    Cursor,
    Entry,
    Page,
    RedisEventStream,
    StoredRun,
)
from shared.streams.events import DONE
from shared.streams.follow import Follower, FollowerFactory
from shared.streams.page_reader import LargeEntryBudget, PageReader
from shared.streams.run_state import RunState
from tests.support.fakes.runs import new_run
from tests.support.processes import Valkey

MAX_BYTES = 1_000_000
SUCCEEDED = Closure(RunState.SUCCEEDED)


class OffsetWriter:
    """The only writer of a run. Each entry contains its offset."""

    def __init__(self, stream: RedisEventStream, run_id: str) -> None:
        self.run_id = run_id
        self.written = 0
        self._stream = stream
        self._attempt = 0

    async def take_over(self) -> None:
        self._attempt = (await self._stream.take_over(self.run_id)).attempt

    async def write(self, count: int = 1, *, size: int = 0) -> None:
        offsets = range(self.written + 1, self.written + count + 1)
        entries = [b"%d" % offset + b"." * size for offset in offsets]
        await self._append(entries)

    async def close(self) -> None:
        await self._append([b"finish", DONE], SUCCEEDED)

    async def _append(self, entries: list[bytes], closure: Closure | None = None) -> None:
        append = Append(self.run_id, self._attempt, self.written + 1, entries, closure)
        [verdict] = await self._stream.append(append)
        assert isinstance(verdict, StoredRun) if closure else verdict is False
        self.written += len(entries)


class ObservedStream(RedisEventStream):
    """A stream that counts its reads and can delay or fail them."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis, live_ttl=600, retention=60)
        self.reads = 0
        #: Reads wait until this event is set.
        self.open = asyncio.Event()
        self.open.set()
        self.failures: list[Exception] = []

    async def read(
        self,
        run_id: str,
        after: Cursor = START,
        *,
        count: int = PAGE_SIZE,
        max_bytes: int | None = None,
    ) -> Page:
        if self.failures:
            raise self.failures.pop()
        page = await super().read(run_id, after, count=count, max_bytes=max_bytes)
        self.reads += 1
        await self.open.wait()
        return page


class FollowHarness:
    """The reading side of an API process and the writing side of a worker on one Redis."""

    def __init__(self, redis: Redis, subscriber: Subscriber) -> None:
        self.redis = redis
        self.subscriber = subscriber
        self.stream = ObservedStream(redis)
        self.runs = RunStore(redis, live_ttl=600)
        self.followers = FollowerFactory(self.stream, subscriber, max_bytes=MAX_BYTES)

    def unsubscribed(self, run_id: str) -> Follower:
        """Return a follower that receives no publications."""
        pages = PageReader(self.stream, run_id, LargeEntryBudget())
        return Follower(pages, run_id, START, MAX_BYTES)

    async def begin_run(self) -> OffsetWriter:
        run = new_run()
        await self.runs.create(run)
        writer = OffsetWriter(self.stream, run.id)
        await writer.take_over()
        return writer


@asynccontextmanager
async def open_harness(valkey: Valkey, redis: Redis) -> AsyncGenerator[FollowHarness]:
    async with Subscriber(valkey.url, name="test-subscriber") as subscriber:
        yield FollowHarness(redis, subscriber)


async def next_entries(follower: Follower) -> list[Entry]:
    """Read until entries arrive."""
    async with asyncio.timeout(30):
        while not (entries := await follower.read()):
            pass
    return entries


async def follow_until(follower: Follower, offset: int) -> list[Entry]:
    entries: list[Entry] = []
    async with asyncio.timeout(60):
        while not entries or entries[-1].offset < offset:
            entries += await follower.read()
    return entries


async def follow_to_end(follower: Follower) -> list[Entry]:
    entries: list[Entry] = []
    async with asyncio.timeout(60):
        while not entries or not entries[-1].is_last:
            entries += await follower.read()
    return entries


async def catch_up(follower: Follower, offset: int = 0) -> None:
    """Wait until the follower is subscribed and has read up to `offset`."""
    async with asyncio.timeout(30):
        if offset:
            await follow_until(follower, offset)
        else:
            await follower.read()


def offsets(entries: list[Entry]) -> list[int]:
    return [entry.offset for entry in entries]


async def write_one_by_one(writer: OffsetWriter, count: int) -> None:
    for _ in range(count):
        await writer.write()
