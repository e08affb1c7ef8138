"""Following a stream through lost messages, outages and slow readers."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.errors import CursorLost
from shared.redis import keys
from shared.streams.event_stream import Entry, read_all
from shared.streams.events import Finish, Start, TextDelta, TextStart, decode
from shared.streams.follow import FollowerFactory
from shared.streams.page_reader import LARGE_ENTRY_BYTES, PAGE_BYTES
from tests.support.fakes.runs import new_run
from tests.support.follow_harness import (
    MAX_BYTES,
    SUCCEEDED,
    FollowHarness,
    OffsetWriter,
    catch_up,
    follow_to_end,
    follow_until,
    next_entries,
    offsets,
    open_harness,
    write_one_by_one,
)
from tests.support.processes import Valkey
from tests.support.wait import until
from worker.output.writer import GroupCommitter, RunWriter


async def test_killed_connection_loses_no_entries(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    with harness.followers.follow(writer.run_id) as follower:
        await catch_up(follower)
        following_to_end = asyncio.create_task(follow_to_end(follower))
        for _ in range(5):
            await write_one_by_one(writer, 20)
            assert await harness.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
            await write_one_by_one(writer, 20)
            await resubscribed(harness, writer.run_id)
        await writer.close()

        assert offsets(await following_to_end) == list(range(1, 203))


async def resubscribed(harness: FollowHarness, run_id: str) -> None:
    async def probe() -> bool:
        reply = await harness.redis.execute_command("PUBSUB", "NUMSUB", keys.stream(run_id))
        return reply[1] == 1

    await until(probe)


async def test_follower_finds_an_end_published_while_disconnected(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    with harness.followers.follow(writer.run_id) as follower:
        await catch_up(follower)
        await harness.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await writer.write(3)
        await writer.close()

        assert offsets(await follow_to_end(follower)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("received", [[3], [1, 3], [2, 3], [3, 1]])
async def test_follower_reads_lost_messages_from_the_stream(
    harness: FollowHarness, received: list[int]
) -> None:
    writer = await harness.begin_run()
    await writer.write(3)
    follower = harness.unsubscribed(writer.run_id)

    for offset in received:
        follower.on_message(b"1-%d %d" % (offset, offset))

    assert offsets(await follow_until(follower, 3)) == [1, 2, 3]


async def test_duplicate_message_is_read_once(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    await writer.write(3)
    follower = harness.unsubscribed(writer.run_id)

    for message in (b"1-1 1\n1-2 2", b"1-1 1", b"1-2 2\n1-3 3", b"1-3 3"):
        follower.on_message(message)

    assert offsets(await follow_until(follower, 3)) == [1, 2, 3]
    assert harness.stream.reads == 0


async def test_read_returns_nothing_while_redis_is_unavailable(
    harness: FollowHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.streams.follow.RETRY_SECONDS", 0.01)
    writer = await harness.begin_run()
    await writer.write(3)
    harness.stream.failures = [RedisConnectionError(), RedisTimeoutError(), OSError()]
    follower = harness.unsubscribed(writer.run_id)

    follower.on_gap()

    assert [offsets(await follower.read()) for _ in range(4)] == [[], [], [], [1, 2, 3]]


async def test_slow_reader_rereads_the_stream_without_affecting_others(
    harness: FollowHarness,
) -> None:
    writer = await harness.begin_run()
    narrow = FollowerFactory(harness.stream, harness.subscriber, max_bytes=5_000)
    with (
        narrow.follow(writer.run_id) as slow,
        harness.followers.follow(writer.run_id) as fast,
    ):
        await asyncio.gather(catch_up(slow), catch_up(fast))
        reads = harness.stream.reads
        for offset in range(1, 51):
            await writer.write(size=1_000)
            assert offsets(await next_entries(fast)) == [offset]
            assert slow._buffered_bytes <= 5_000  # pyright: ignore[reportPrivateUsage]
        await writer.close()

        assert offsets(await follow_to_end(fast)) == [51, 52]
        assert harness.stream.reads == reads
        assert offsets(await follow_to_end(slow)) == list(range(1, 53))
        assert harness.stream.reads == reads + 1


async def test_slow_reader_returns_to_live_messages_after_catch_up(
    harness: FollowHarness,
) -> None:
    writer = await harness.begin_run()
    narrow = FollowerFactory(harness.stream, harness.subscriber, max_bytes=5_000)
    with narrow.follow(writer.run_id) as slow:
        await catch_up(slow)
        await writer.write(10, size=1_000)
        await follow_until(slow, 10)
        reads = harness.stream.reads
        for offset in range(11, 20):
            await writer.write()
            assert offsets(await next_entries(slow)) == [offset]

        assert harness.stream.reads == reads


async def test_fast_reader_never_rereads_the_stream(
    harness: FollowHarness,
) -> None:
    writer = await harness.begin_run()
    narrow = FollowerFactory(harness.stream, harness.subscriber, max_bytes=5_000)
    with narrow.follow(writer.run_id) as follower:
        await catch_up(follower)
        reads = harness.stream.reads
        for offset in range(1, 21):
            await writer.write(size=1_000)
            assert offsets(await next_entries(follower)) == [offset]

        assert harness.stream.reads == reads


async def test_message_over_the_buffer_limit_is_read_from_the_stream(
    harness: FollowHarness,
) -> None:
    writer = await harness.begin_run()
    with harness.followers.follow(writer.run_id) as follower:
        await catch_up(follower)

        await writer.write(size=2 * MAX_BYTES)

        [entry] = await next_entries(follower)
        assert len(entry.data) > 2 * MAX_BYTES


async def test_reader_holds_one_page_or_one_large_entry(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    await writer.write(2_000, size=400)
    await writer.write(2, size=1_000_000)
    await writer.close()
    with harness.followers.follow(writer.run_id) as follower:
        entries: list[Entry] = []
        while not entries or not entries[-1].is_last:
            page = await next_entries(follower)
            size = sum(len(entry.data) for entry in page)
            assert size <= PAGE_BYTES or len(page) == 1
            entries += page

    assert entries == await read_all(harness.stream, writer.run_id)


async def test_large_entries_wait_until_others_are_sent(
    harness: FollowHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.streams.page_reader.RETRY_SECONDS", 0.01)
    writer = await harness.begin_run()
    await writer.write(size=LARGE_ENTRY_BYTES // 2 - 100)
    await writer.close()
    with ExitStack() as stack:
        readers = [stack.enter_context(harness.followers.follow(writer.run_id)) for _ in range(4)]
        for reader in readers[:2]:
            assert offsets(await next_entries(reader)) == [1]
        for reader in readers[2:]:
            assert [await reader.read() for _ in range(3)] == [[], [], []]

        assert offsets(await next_entries(readers[0])) == [2, 3]
        assert offsets(await next_entries(readers[2])) == [1]
        assert await readers[3].read() == []

    with harness.followers.follow(writer.run_id) as reader:
        assert offsets(await follow_to_end(reader)) == [1, 2, 3]


async def test_later_attempt_below_the_cursor_ends_the_reader(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    with harness.followers.follow(writer.run_id) as follower:
        await writer.write(5)
        await follow_until(follower, 5)
        await lose_entries(harness, writer, kept=2)
        await writer.take_over()
        await writer.write(1)

        with pytest.raises(CursorLost):
            await follow_until(follower, 6)


async def test_reader_ahead_of_a_restored_stream_ends_on_reconnect(
    harness: FollowHarness,
) -> None:
    writer = await harness.begin_run()
    with harness.followers.follow(writer.run_id) as follower:
        await writer.write(5)
        await follow_until(follower, 5)
        await lose_entries(harness, writer, kept=2)
        follower.on_gap()

        with pytest.raises(CursorLost):
            await follower.read()


async def lose_entries(harness: FollowHarness, writer: OffsetWriter, *, kept: int) -> None:
    """Delete all entries but the first ones, as a Redis that restarts without them."""
    for offset in range(kept + 1, writer.written + 1):
        await harness.redis.execute_command("XDEL", keys.stream(writer.run_id), f"1-{offset}")
    writer.written = kept


async def test_redis_restart_loses_no_entries(tmp_path: Path) -> None:
    valkey = Valkey(data=tmp_path)
    valkey.start()
    await valkey.ready()
    redis = valkey.client()
    try:
        async with open_harness(valkey, redis) as harness:
            await follow_through_restart(harness, valkey)
    finally:
        await redis.aclose()
        await valkey.stop()


async def follow_through_restart(harness: FollowHarness, valkey: Valkey) -> None:
    run = new_run()
    await harness.runs.create(run)
    takeover = await harness.stream.take_over(run.id)
    with harness.followers.follow(run.id) as follower:
        await catch_up(follower)
        following_to_end = asyncio.create_task(follow_to_end(follower))
        async with GroupCommitter(harness.stream) as committer:
            writer = RunWriter(
                committer,
                run.id,
                attempt=takeover.attempt,
                offset=0,
                on_refused=lambda: None,
                on_stop=lambda: None,
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
        entries = await following_to_end
    assert offsets(entries) == list(range(1, len(entries) + 1))
    assert words(entries) == list(range(100))


async def write_words(writer: RunWriter, numbers: range) -> None:
    for number in numbers:
        writer.write(TextDelta(id="text-1", delta=f"{number} "))
        await writer.drain()


def words(entries: list[Entry]) -> list[int]:
    events = [decode(entry.data) for entry in entries if not entry.is_last]
    text = "".join(event.delta for event in events if isinstance(event, TextDelta))
    return [int(word) for word in text.split()]
