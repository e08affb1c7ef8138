import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.subscriber import Subscriber
from shared.runs.store import RunStore
from shared.streams.event_stream import (
    PAGE,
    START,
    Append,
    Closure,
    Cursor,
    Entry,
    Page,
    RedisEventStream,
    read_all,
)
from shared.streams.events import DONE, Finish, Start, TextDelta, TextStart, decode
from shared.streams.follow import Follower, Following
from shared.streams.run_state import RunState
from tests.support.fakes.runs import new_run
from tests.support.processes import Valkey
from tests.support.wait import until
from worker.output.writer import GroupCommit, RunWriter

MAX_BYTES = 1_000_000
SUCCEEDED = Closure(RunState.SUCCEEDED)


class Scribe:
    """The only writer of a run, whose entries are their own offsets."""

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
        assert await self._stream.append(append) == [False]
        self.written += len(entries)


class WatchedStream(RedisEventStream):
    """Counts how often a log was read. Reads stay on their way while the gate is shut, or fail."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis, live_ttl=600, retention=60)
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures: list[Exception] = []

    async def read(self, run_id: str, after: Cursor = START) -> Page:
        if self.failures:
            raise self.failures.pop()
        page = await super().read(run_id, after)
        self.reads += 1
        await self.gate.wait()
        return page


class House:
    """An API process' side of a Redis, and a worker's."""

    def __init__(self, redis: Redis, subscriber: Subscriber) -> None:
        self.redis = redis
        self.subscriber = subscriber
        self.stream = WatchedStream(redis)
        self.runs = RunStore(redis, live_ttl=600)
        self.follower = Follower(self.stream, subscriber, max_bytes=MAX_BYTES)

    async def scribe(self) -> Scribe:
        run = new_run()
        await self.runs.create(run)
        scribe = Scribe(self.stream, run.id)
        await scribe.take_over()
        return scribe


@asynccontextmanager
async def open_house(valkey: Valkey, redis: Redis) -> AsyncGenerator[House]:
    async with Subscriber(valkey.url, name="test-subscriber") as subscriber:
        yield House(redis, subscriber)


@pytest.fixture
async def house(valkey: Valkey, redis: Redis) -> AsyncGenerator[House]:
    async with open_house(valkey, redis) as house:
        yield house


async def next_entries(following: Following) -> list[Entry]:
    """What the next read that brings anything brings."""
    async with asyncio.timeout(10):
        while not (entries := await following.read()):
            pass
    return entries


async def follow_until(following: Following, offset: int) -> list[Entry]:
    entries: list[Entry] = []
    async with asyncio.timeout(20):
        while not entries or entries[-1].offset < offset:
            entries += await following.read()
    return entries


async def follow_to_end(following: Following) -> list[Entry]:
    entries: list[Entry] = []
    async with asyncio.timeout(20):
        while not entries or not entries[-1].ends:
            entries += await following.read()
    return entries


async def caught_up(following: Following, offset: int = 0) -> None:
    """The subscription stands and what was written before has been read."""
    async with asyncio.timeout(10):
        if offset:
            await follow_until(following, offset)
        else:
            await following.read()


def offsets(entries: list[Entry]) -> list[int]:
    return [entry.offset for entry in entries]


# From anywhere


async def test_a_finished_log_is_followed_from_its_start_to_its_end(house: House) -> None:
    scribe = await house.scribe()
    await scribe.write(10)
    await scribe.close()

    with house.follower.follow(scribe.run_id) as following:
        entries = await follow_to_end(following)

    assert entries == await read_all(house.stream, scribe.run_id)


async def test_a_long_log_is_followed_to_its_end(house: House) -> None:
    scribe = await house.scribe()
    await scribe.write(PAGE)
    await scribe.write(PAGE)
    await scribe.write(PAGE // 2)
    await scribe.close()

    with house.follower.follow(scribe.run_id) as following:
        entries = await follow_to_end(following)

    assert offsets(entries) == list(range(1, scribe.written + 1))


async def test_what_is_appended_is_read_at_once(house: House) -> None:
    scribe = await house.scribe()
    with house.follower.follow(scribe.run_id) as following:
        await caught_up(following)

        for offset in range(1, 20):
            await scribe.write()
            assert await next_entries(following) == [Entry(1, offset, b"%d" % offset)]


@pytest.mark.parametrize("cursor", [0, 1, 7, 49, 50, 51, 99])
async def test_a_log_is_followed_from_any_cursor_while_it_grows(house: House, cursor: int) -> None:
    scribe = await house.scribe()
    await scribe.write(50)
    writing = asyncio.create_task(write_one_by_one(scribe, 50))
    with house.follower.follow(scribe.run_id, Cursor(1, cursor)) as following:
        entries = await follow_until(following, 100)
    await writing

    assert offsets(entries) == list(range(cursor + 1, 101))
    assert following.cursor == Cursor(1, 100)


async def test_a_take_over_is_not_seen(house: House) -> None:
    scribe = await house.scribe()
    with house.follower.follow(scribe.run_id) as following:
        await caught_up(following)
        await scribe.write(3)
        await scribe.take_over()
        await scribe.write(3)

        entries = await follow_until(following, 6)

    assert [(entry.attempt, entry.offset) for entry in entries] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 4),
        (2, 5),
        (2, 6),
    ]


async def test_two_followers_of_one_run_see_the_same(house: House) -> None:
    scribe = await house.scribe()
    with (
        house.follower.follow(scribe.run_id) as early,
        house.follower.follow(scribe.run_id) as twin,
    ):
        await asyncio.gather(caught_up(early), caught_up(twin))
        await scribe.write(20)
        with house.follower.follow(scribe.run_id, Cursor(1, 10)) as late:
            await write_one_by_one(scribe, 20)
            await scribe.close()
            whole, same, rest = await asyncio.gather(
                follow_to_end(early), follow_to_end(twin), follow_to_end(late)
            )

    assert offsets(whole) == list(range(1, 43))
    assert same == whole
    assert rest == whole[10:]


async def test_each_of_a_hundred_followers_is_joined_once_at_the_seam(house: House) -> None:
    scribe = await house.scribe()
    total = 3000

    async def attach(_: int) -> list[int]:
        after = Cursor(1, scribe.written // 2)
        with house.follower.follow(scribe.run_id, after) as following:
            entries = await follow_until(following, total)
        assert offsets(entries) == list(range(after.offset + 1, total + 1))
        return offsets(entries)

    writing = asyncio.create_task(write_one_by_one(scribe, total))
    attached: list[asyncio.Task[list[int]]] = []
    for number in range(100):
        await reaches(scribe, number * total // 110)
        attached.append(asyncio.create_task(attach(number)))
    await asyncio.gather(writing, *attached)

    assert any(task.result()[0] > 1 for task in attached)


async def reaches(scribe: Scribe, offset: int) -> None:
    async def probe() -> bool:
        return scribe.written >= offset

    await until(probe)


async def write_one_by_one(scribe: Scribe, count: int) -> None:
    for _ in range(count):
        await scribe.write()


async def test_a_read_that_is_cancelled_loses_nothing(house: House) -> None:
    scribe = await house.scribe()
    await scribe.write(3)
    house.stream.gate.clear()
    with house.follower.follow(scribe.run_id) as following:
        reading = asyncio.create_task(following.read())
        await until(is_true(lambda: house.stream.reads == 1))
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        house.stream.gate.set()

        assert offsets(await next_entries(following)) == [1, 2, 3]


async def test_what_is_appended_during_a_read_of_the_log_is_joined_to_it(house: House) -> None:
    scribe = await house.scribe()
    await scribe.write(3)
    house.stream.gate.clear()
    with house.follower.follow(scribe.run_id) as following:
        reading = asyncio.create_task(following.read())
        await until(is_true(lambda: house.stream.reads == 1))
        await scribe.write(3)
        house.stream.gate.set()

        assert offsets(await reading) == [1, 2, 3]
        assert offsets(await follow_until(following, 6)) == [4, 5, 6]
        assert house.stream.reads == 1


def is_true(probe: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def awaitable() -> bool:
        return probe()

    return awaitable


async def test_a_cursor_without_its_attempt_follows_a_long_log(house: House) -> None:
    scribe = await house.scribe()
    for _ in range(3):
        await scribe.write(PAGE)
    with house.follower.follow(scribe.run_id, Cursor(0, 3 * PAGE - 1)) as following:
        entries = await next_entries(following)

    assert offsets(entries) == [3 * PAGE]


# Through trouble


async def test_a_killed_connection_loses_nothing(house: House) -> None:
    scribe = await house.scribe()
    with house.follower.follow(scribe.run_id) as following:
        await caught_up(following)
        following_to_end = asyncio.create_task(follow_to_end(following))
        for _ in range(5):
            await write_one_by_one(scribe, 20)
            assert await house.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
            await write_one_by_one(scribe, 20)
            await subscribed_again(house, scribe.run_id)
        await scribe.close()

        assert offsets(await following_to_end) == list(range(1, 203))


async def subscribed_again(house: House, run_id: str) -> None:
    async def probe() -> bool:
        reply = await house.redis.execute_command("PUBSUB", "NUMSUB", keys.stream(run_id))
        return reply[1] == 1

    await until(probe)


async def test_an_end_that_was_published_to_nobody_is_found(house: House) -> None:
    scribe = await house.scribe()
    with house.follower.follow(scribe.run_id) as following:
        await caught_up(following)
        await house.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await scribe.write(3)
        await scribe.close()

        assert offsets(await follow_to_end(following)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("heard", [[3], [1, 3], [2, 3], [3, 1]])
async def test_a_message_that_was_lost_is_found_in_the_log(house: House, heard: list[int]) -> None:
    scribe = await house.scribe()
    await scribe.write(3)
    following = Following(house.stream, scribe.run_id, START, MAX_BYTES)

    for offset in heard:
        following.on_message(b"1-%d %d" % (offset, offset))

    assert offsets(await follow_until(following, 3)) == [1, 2, 3]


async def test_a_message_that_comes_twice_is_read_once(house: House) -> None:
    scribe = await house.scribe()
    await scribe.write(3)
    following = Following(house.stream, scribe.run_id, START, MAX_BYTES)

    for message in (b"1-1 1\n1-2 2", b"1-1 1", b"1-2 2\n1-3 3", b"1-3 3"):
        following.on_message(message)

    assert offsets(await follow_until(following, 3)) == [1, 2, 3]
    assert house.stream.reads == 0


async def test_while_redis_is_away_a_read_brings_nothing_and_the_next_tries_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.streams.follow._RETRY_SECONDS", 0.01)
    scribe = await house.scribe()
    await scribe.write(3)
    house.stream.failures = [RedisConnectionError(), RedisTimeoutError(), OSError()]
    following = Following(house.stream, scribe.run_id, START, MAX_BYTES)

    following.on_gap()

    assert [offsets(await following.read()) for _ in range(4)] == [[], [], [], [1, 2, 3]]


async def test_a_slow_reader_falls_back_to_the_log_and_costs_nobody_anything(
    house: House,
) -> None:
    scribe = await house.scribe()
    narrow = Follower(house.stream, house.subscriber, max_bytes=5_000)
    with (
        narrow.follow(scribe.run_id) as slow,
        house.follower.follow(scribe.run_id) as fast,
    ):
        await asyncio.gather(caught_up(slow), caught_up(fast))
        reads = house.stream.reads
        for offset in range(1, 51):
            await scribe.write(size=1_000)
            assert offsets(await next_entries(fast)) == [offset]
            assert slow._buffered_bytes <= 5_000  # pyright: ignore[reportPrivateUsage]
        await scribe.close()

        assert offsets(await follow_to_end(fast)) == [51, 52]
        assert house.stream.reads == reads
        assert offsets(await follow_to_end(slow)) == list(range(1, 53))
        assert house.stream.reads == reads + 1


async def test_a_slow_reader_rides_the_live_feed_again_once_it_has_caught_up(
    house: House,
) -> None:
    scribe = await house.scribe()
    narrow = Follower(house.stream, house.subscriber, max_bytes=5_000)
    with narrow.follow(scribe.run_id) as slow:
        await caught_up(slow)
        await scribe.write(10, size=1_000)
        await follow_until(slow, 10)
        reads = house.stream.reads
        for offset in range(11, 20):
            await scribe.write()
            assert offsets(await next_entries(slow)) == [offset]

        assert house.stream.reads == reads


async def test_a_reader_that_keeps_up_never_falls_back_however_much_it_reads(
    house: House,
) -> None:
    scribe = await house.scribe()
    narrow = Follower(house.stream, house.subscriber, max_bytes=5_000)
    with narrow.follow(scribe.run_id) as following:
        await caught_up(following)
        reads = house.stream.reads
        for offset in range(1, 21):
            await scribe.write(size=1_000)
            assert offsets(await next_entries(following)) == [offset]

        assert house.stream.reads == reads


async def test_a_message_larger_than_the_bound_is_read_from_the_log(house: House) -> None:
    scribe = await house.scribe()
    with house.follower.follow(scribe.run_id) as following:
        await caught_up(following)

        await scribe.write(size=2 * MAX_BYTES)

        [entry] = await next_entries(following)
        assert len(entry.data) > 2 * MAX_BYTES


async def test_a_restart_of_redis_loses_nothing(tmp_path: Path) -> None:
    valkey = Valkey(data=tmp_path)
    valkey.start()
    await valkey.ready()
    redis = valkey.client()
    try:
        async with open_house(valkey, redis) as house:
            await follow_through_a_restart(house, valkey)
    finally:
        await redis.aclose()
        await valkey.stop()


async def follow_through_a_restart(house: House, valkey: Valkey) -> None:
    run = new_run()
    await house.runs.create(run)
    takeover = await house.stream.take_over(run.id)
    with house.follower.follow(run.id) as following:
        await caught_up(following)
        whole = asyncio.create_task(follow_to_end(following))
        async with GroupCommit(house.stream) as commit:
            writer = RunWriter(
                commit,
                run.id,
                attempt=takeover.attempt,
                offset=0,
                on_refused=lambda: None,
                on_cancel=lambda: None,
            )
            writer.write(Start(message_id="msg-1"))
            writer.write(TextStart(id="text-1"))
            await write_words(writer, range(50))
            await valkey.kill()
            writer.write(TextDelta(id="text-1", delta="50 "))
            valkey.start()
            await valkey.ready()
            await write_words(writer, range(51, 100))
            await writer.close([Finish(finish_reason="stop")], SUCCEEDED)
        entries = await whole
    assert offsets(entries) == list(range(1, len(entries) + 1))
    assert words(entries) == list(range(100))


async def write_words(writer: RunWriter, numbers: range) -> None:
    for number in numbers:
        writer.write(TextDelta(id="text-1", delta=f"{number} "))
        await writer.drain()


def words(entries: list[Entry]) -> list[int]:
    events = [decode(entry.data) for entry in entries if not entry.ends]
    text = "".join(event.delta for event in events if isinstance(event, TextDelta))
    return [int(word) for word in text.split()]


# At little cost


async def test_ring_wakes_a_reader_with_nothing(house: House) -> None:
    scribe = await house.scribe()
    with house.follower.follow(scribe.run_id) as following:
        await caught_up(following)
        reading = asyncio.create_task(following.read())
        await asyncio.sleep(0)
        assert not reading.done()

        following.notify()

        assert await reading == []
        await scribe.write()
        assert offsets(await next_entries(following)) == [1]


async def test_a_channel_is_left_with_its_last_follower(house: House) -> None:
    scribe = await house.scribe()
    with house.follower.follow(scribe.run_id) as first:
        with house.follower.follow(scribe.run_id) as second:
            await asyncio.gather(caught_up(first), caught_up(second))
        assert await channels(house) == [keys.stream(scribe.run_id).encode()]

    async def left() -> bool:
        return await channels(house) == []

    await until(left)


async def channels(house: House) -> list[bytes]:
    return await house.redis.execute_command("PUBSUB", "CHANNELS")


async def test_one_that_leaves_does_not_disturb_another(house: House) -> None:
    scribe = await house.scribe()
    with house.follower.follow(scribe.run_id) as stays:
        with house.follower.follow(scribe.run_id) as leaves:
            await asyncio.gather(caught_up(stays), caught_up(leaves))
        await scribe.write()

        assert offsets(await next_entries(stays)) == [1]


async def test_one_that_leaves_and_comes_back_at_once_misses_nothing(house: House) -> None:
    scribe = await house.scribe()
    cursor = START
    seen: list[int] = []
    for _ in range(50):
        with house.follower.follow(scribe.run_id, cursor) as following:
            await scribe.write(2)
            seen += offsets(await next_entries(following))
            cursor = following.cursor
    with house.follower.follow(scribe.run_id, cursor) as following:
        await scribe.close()
        seen += offsets(await follow_to_end(following))

    assert seen == list(range(1, 103))


async def test_two_hundred_followers_share_a_handful_of_connections(house: House) -> None:
    scribes = [await house.scribe() for _ in range(20)]
    await asyncio.gather(*(scribe.write(5) for scribe in scribes))

    async def follow(scribe: Scribe) -> list[Entry]:
        with house.follower.follow(scribe.run_id) as following:
            return await follow_to_end(following)

    following = [asyncio.create_task(follow(scribe)) for scribe in scribes for _ in range(10)]
    await until(all_subscribed(house, 20))
    clients: bytes = await house.redis.execute_command("CLIENT", "LIST")
    await asyncio.gather(*(scribe.close() for scribe in scribes))

    followed = await asyncio.gather(*following)
    assert [offsets(entries) for entries in followed] == [[1, 2, 3, 4, 5, 6, 7]] * 200
    assert len(clients.splitlines()) <= 10


def all_subscribed(house: House, count: int) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return len(await channels(house)) == count

    return probe
