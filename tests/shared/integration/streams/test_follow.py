"""Following a stream: reading from any cursor, wakeups and subscriptions."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.redis import keys
from shared.streams.event_stream import (
    PAGE_SIZE,
    START,
    Append,
    Cursor,
    Entry,
    read_all,
)
from shared.streams.events import TextDelta
from tests.support.follow_harness import (
    FollowHarness,
    OffsetWriter,
    catch_up,
    follow_to_end,
    follow_until,
    next_entries,
    offsets,
    write_one_by_one,
)
from tests.support.wait import until

# Reading from a cursor


async def test_follower_reads_a_closed_stream_to_its_end(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    await writer.write(10)
    await writer.close()

    with harness.followers.follow(writer.run_id) as follower:
        entries = await follow_to_end(follower)

    assert entries == await read_all(harness.stream, writer.run_id)


async def test_follower_reads_a_stream_of_several_pages(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    await writer.write(PAGE_SIZE)
    await writer.write(PAGE_SIZE)
    await writer.write(PAGE_SIZE // 2)
    await writer.close()

    with harness.followers.follow(writer.run_id) as follower:
        entries = await follow_to_end(follower)

    assert offsets(entries) == list(range(1, writer.written + 1))


async def test_stored_deltas_are_merged_and_published_ones_are_not(
    harness: FollowHarness,
) -> None:
    run_id = (await harness.begin_run()).run_id
    word = TextDelta(id="t", delta="x").encode()
    await harness.stream.append(Append(run_id, 1, 1, [word] * 2 * PAGE_SIZE))

    with harness.followers.follow(run_id, merged=True) as follower:
        stored = await follow_until(follower, 2 * PAGE_SIZE)
        await harness.stream.append(Append(run_id, 1, 2 * PAGE_SIZE + 1, [word] * 2))
        published = await next_entries(follower)

    assert [(entry.offset, entry.merged_count) for entry in stored] == [
        (PAGE_SIZE, PAGE_SIZE - 1),
        (2 * PAGE_SIZE, PAGE_SIZE - 1),
    ]
    assert [entry.data for entry in published] == [word, word]


async def test_follower_receives_each_append_immediately(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    with harness.followers.follow(writer.run_id) as follower:
        await catch_up(follower)

        for offset in range(1, 20):
            await writer.write()
            assert await next_entries(follower) == [Entry(1, offset, b"%d" % offset)]


@pytest.mark.parametrize("cursor", [0, 1, 7, 49, 50])
async def test_follower_reads_a_growing_stream_from_any_cursor(
    harness: FollowHarness, cursor: int
) -> None:
    writer = await harness.begin_run()
    await writer.write(50)
    writing = asyncio.create_task(write_one_by_one(writer, 50))
    with harness.followers.follow(writer.run_id, Cursor(1, cursor)) as follower:
        entries = await follow_until(follower, 100)
    await writing

    assert offsets(entries) == list(range(cursor + 1, 101))
    assert follower.cursor == Cursor(1, 100)


async def test_follower_skips_fences(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    with harness.followers.follow(writer.run_id) as follower:
        await catch_up(follower)
        await writer.write(3)
        await writer.take_over()
        await writer.write(3)

        entries = await follow_until(follower, 6)

    assert [(entry.attempt, entry.offset) for entry in entries] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 4),
        (2, 5),
        (2, 6),
    ]


async def test_followers_of_one_run_read_the_same_entries(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    with (
        harness.followers.follow(writer.run_id) as early,
        harness.followers.follow(writer.run_id) as twin,
    ):
        await asyncio.gather(catch_up(early), catch_up(twin))
        await writer.write(20)
        with harness.followers.follow(writer.run_id, Cursor(1, 10)) as late:
            await write_one_by_one(writer, 20)
            await writer.close()
            early_entries, twin_entries, late_entries = await asyncio.gather(
                follow_to_end(early), follow_to_end(twin), follow_to_end(late)
            )

    assert offsets(early_entries) == list(range(1, 43))
    assert twin_entries == early_entries
    assert late_entries == early_entries[10:]


async def test_hundred_followers_join_at_any_point_without_gaps(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    total = 3000

    async def attach(_: int) -> list[int]:
        after = Cursor(1, writer.written // 2)
        with harness.followers.follow(writer.run_id, after) as follower:
            entries = await follow_until(follower, total)
        assert offsets(entries) == list(range(after.offset + 1, total + 1))
        return offsets(entries)

    writing = asyncio.create_task(write_one_by_one(writer, total))
    attached: list[asyncio.Task[list[int]]] = []
    for number in range(100):
        await wait_for_offset(writer, number * total // 110)
        attached.append(asyncio.create_task(attach(number)))
    await asyncio.gather(writing, *attached)

    assert any(task.result()[0] > 1 for task in attached)


async def wait_for_offset(writer: OffsetWriter, offset: int) -> None:
    async def probe() -> bool:
        return writer.written >= offset

    await until(probe)


async def test_cancelled_read_loses_no_entries(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    await writer.write(3)
    harness.stream.open.clear()
    with harness.followers.follow(writer.run_id) as follower:
        reading = asyncio.create_task(follower.read())
        await until(is_true(lambda: harness.stream.reads == 1))
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        harness.stream.open.set()

        assert offsets(await next_entries(follower)) == [1, 2, 3]


async def test_append_during_a_read_is_received_after_it(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    await writer.write(3)
    harness.stream.open.clear()
    with harness.followers.follow(writer.run_id) as follower:
        reading = asyncio.create_task(follower.read())
        await until(is_true(lambda: harness.stream.reads == 1))
        await writer.write(3)
        harness.stream.open.set()

        assert offsets(await reading) == [1, 2, 3]
        assert offsets(await follow_until(follower, 6)) == [4, 5, 6]
        assert harness.stream.reads == 1


def is_true(probe: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def awaitable() -> bool:
        return probe()

    return awaitable


# Wakeups and subscriptions


async def test_notify_wakes_a_reader_without_entries(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    with harness.followers.follow(writer.run_id) as follower:
        await catch_up(follower)
        reading = asyncio.create_task(follower.read())
        await asyncio.sleep(0)
        assert not reading.done()

        follower.notify()

        assert await reading == []
        await writer.write()
        assert offsets(await next_entries(follower)) == [1]


async def test_channel_is_unsubscribed_after_its_last_follower(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    with harness.followers.follow(writer.run_id) as first:
        with harness.followers.follow(writer.run_id) as second:
            await asyncio.gather(catch_up(first), catch_up(second))
        assert await channels(harness) == [keys.stream(writer.run_id).encode()]

    async def is_unsubscribed() -> bool:
        return await channels(harness) == []

    await until(is_unsubscribed)


async def test_leaving_follower_does_not_disturb_another(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    with harness.followers.follow(writer.run_id) as stays:
        with harness.followers.follow(writer.run_id) as leaves:
            await asyncio.gather(catch_up(stays), catch_up(leaves))
        await writer.write()

        assert offsets(await next_entries(stays)) == [1]


async def test_follower_that_returns_immediately_misses_no_entries(harness: FollowHarness) -> None:
    writer = await harness.begin_run()
    cursor = START
    read_offsets: list[int] = []
    for _ in range(50):
        with harness.followers.follow(writer.run_id, cursor) as follower:
            await writer.write(2)
            read_offsets += offsets(await next_entries(follower))
            cursor = follower.cursor
    with harness.followers.follow(writer.run_id, cursor) as follower:
        await writer.close()
        read_offsets += offsets(await follow_to_end(follower))

    assert read_offsets == list(range(1, 103))


async def test_two_hundred_followers_share_few_connections(harness: FollowHarness) -> None:
    writers = [await harness.begin_run() for _ in range(20)]
    await asyncio.gather(*(writer.write(5) for writer in writers))

    async def follow(writer: OffsetWriter) -> list[Entry]:
        with harness.followers.follow(writer.run_id) as follower:
            return await follow_to_end(follower)

    following = [asyncio.create_task(follow(writer)) for writer in writers for _ in range(10)]
    await until(all_subscribed(harness, 20))
    clients: bytes = await harness.redis.execute_command("CLIENT", "LIST")
    await asyncio.gather(*(writer.close() for writer in writers))

    followed = await asyncio.gather(*following)
    assert [offsets(entries) for entries in followed] == [[1, 2, 3, 4, 5, 6, 7]] * 200
    assert len(clients.splitlines()) <= 10


def all_subscribed(harness: FollowHarness, count: int) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return len(await channels(harness)) == count

    return probe


async def channels(harness: FollowHarness) -> list[bytes]:
    return await harness.redis.execute_command("PUBSUB", "CHANNELS")
