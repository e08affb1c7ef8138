"""Reads from any cursor, which every event stream must handle alike."""

import pytest

from shared.errors import CursorLost
from shared.streams.event_stream import PAGE_SIZE, START, Append, Cursor, Entry, Page, read_all
from tests.support.stream_harness import StreamHarness


async def test_read_continues_after_the_cursor_across_attempts(harness: StreamHarness) -> None:
    run_id = await write_in_three_attempts(harness)

    for offset in range(1, 7):
        cursor = Cursor((offset + 1) // 2, offset)
        page = await harness.stream.read(run_id, cursor)
        assert [entry.offset for entry in page.entries] == list(range(offset + 1, 7))
        assert not page.more


@pytest.mark.parametrize("cursor", [(0, 5), (2, 5), (3, 4), (4, 5), (3, 7), (4, 7)])
async def test_cursor_without_an_entry_is_lost(
    harness: StreamHarness, cursor: tuple[int, int]
) -> None:
    run_id = await write_in_three_attempts(harness)

    with pytest.raises(CursorLost):
        await harness.stream.read(run_id, Cursor(*cursor))


async def test_read_returns_the_requested_number_of_entries(harness: StreamHarness) -> None:
    run_id = await write_in_three_attempts(harness)

    assert await harness.stream.read(run_id, count=1) == Page(b"1-1 1", more=True)
    assert await harness.stream.read(run_id, Cursor(1, 2), count=1) == Page(b"2-3 3", more=True)


async def test_read_after_the_last_entry_returns_no_entries(harness: StreamHarness) -> None:
    run_id = await write_in_three_attempts(harness)

    assert await harness.stream.read(run_id, Cursor(3, 6)) == Page(b"", more=False)


async def test_read_of_an_unknown_run_returns_no_entries(harness: StreamHarness) -> None:
    assert await harness.stream.read("unknown") == Page(b"", more=False)
    with pytest.raises(CursorLost):
        await harness.stream.read("unknown", Cursor(1, 5))


async def test_long_stream_is_read_in_pages(harness: StreamHarness) -> None:
    run_id = await write_long_stream(harness, 2 * PAGE_SIZE + 10)

    first = await harness.stream.read(run_id)
    second = await harness.stream.read(run_id, first.entries[-1].cursor)

    assert first.more
    assert second.more
    assert len(first.entries) <= PAGE_SIZE
    assert second.entries[0].offset == first.entries[-1].offset + 1
    assert [entry.offset for entry in await read_all(harness.stream, run_id)] == list(
        range(1, 2 * PAGE_SIZE + 11)
    )


@pytest.mark.parametrize("max_bytes", [1, 999, 1000, 2500, 50_000, 1_000_000])
async def test_pages_have_at_most_the_requested_bytes(
    harness: StreamHarness, max_bytes: int
) -> None:
    run_id, takeover = await harness.begin_run()
    sizes = [1000, 10, 900, 1, 2000, 300_000, 5, *[400] * 300, 70_000, 1]
    entries = [b"x" * size for size in sizes]
    await harness.stream.append(Append(run_id, takeover.attempt, 1, entries))
    seen: list[Entry] = []

    while (page := await harness.stream.read(run_id, _end(seen), max_bytes=max_bytes)).more:
        size = sum(len(entry.data) for entry in page.entries)
        assert size <= max_bytes
        if not page.entries:
            assert page.too_large == sizes[len(seen)] > max_bytes
            page = await harness.stream.read(run_id, _end(seen), max_bytes=page.too_large)
            assert len(page.entries) >= 1
        else:
            assert page.too_large == 0
        seen += page.entries

    assert seen + page.entries == await read_all(harness.stream, run_id)
    assert [len(entry.data) for entry in seen + page.entries] == sizes


def _end(entries: list[Entry]) -> Cursor:
    return entries[-1].cursor if entries else START


async def test_read_skips_fences(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    for _ in range(PAGE_SIZE + 1):
        await harness.stream.take_over(run_id)
    await harness.stream.append(Append(run_id, PAGE_SIZE + 2, 1, [b"a"]))

    assert (await harness.stream.read(run_id)).entries == [Entry(PAGE_SIZE + 2, 1, b"a")]


async def write_in_three_attempts(harness: StreamHarness) -> str:
    """Write six entries, two in each attempt."""
    run_id = await harness.create_run()
    for first in (1, 3, 5):
        attempt = (await harness.stream.take_over(run_id)).attempt
        entries = [b"%d" % first, b"%d" % (first + 1)]
        await harness.stream.append(Append(run_id, attempt, first, entries))
    return run_id


async def write_long_stream(harness: StreamHarness, count: int) -> str:
    run_id, _ = await harness.begin_run()
    await write_entries(harness, run_id, attempt=1, count=count)
    return run_id


async def write_entries(harness: StreamHarness, run_id: str, *, attempt: int, count: int) -> None:
    entries = [b"%d" % offset for offset in range(1, count + 1)]
    for start in range(0, count, 100):
        part = entries[start : start + 100]
        assert await harness.append(Append(run_id, attempt, start + 1, part)) is False
