import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from shared.errors import Fenced, StreamClosed, StreamGap
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis
from shared.redis.subscriber import Subscriber
from shared.streams.event_stream import PAGE, Append, Closure, Cursor, Entry, read_all
from shared.streams.events import DONE
from shared.streams.run_state import RunState
from tests.support.fakes.recorder import Recorder
from tests.support.fakes.runs import new_run
from tests.support.processes import Valkey
from tests.support.redis_cluster import SharedCluster
from tests.support.stream_harness import (
    LIVE_TTL,
    RETENTION,
    House,
    fakeredis_house,
    memory_house,
    redis_house,
)
from tests.support.wait import until

SUCCEEDED = Closure(RunState.SUCCEEDED)


@pytest.fixture(params=["memory", "valkey", "fakeredis", "cluster"])
async def house(
    request: pytest.FixtureRequest, redis: Redis, clusters: SharedCluster
) -> AsyncGenerator[House]:
    match request.param:
        case "cluster":
            async with clusters.emptied() as cluster, aclosing(cluster.client()) as client:
                yield redis_house(client)
        case "memory":
            yield memory_house()
        case "fakeredis":
            async with fakeredis_house() as house:
                yield house
        case _:
            yield redis_house(redis)


@pytest.fixture
def redis_only(redis: Redis) -> House:
    return redis_house(redis)


async def written(house: House, append: Append) -> bool | Exception:
    [verdict] = await house.stream.append(append)
    return verdict


async def ids(house: House, run_id: str) -> list[tuple[int, int]]:
    return [(entry.attempt, entry.offset) for entry in await read_all(house.stream, run_id)]


async def texts(house: House, run_id: str) -> list[bytes]:
    return [entry.data for entry in await read_all(house.stream, run_id)]


async def state(house: House, run_id: str) -> RunState:
    run = await house.runs.get(run_id)
    assert run is not None
    return run.state


# Taking over


async def test_the_first_attempt_finds_an_empty_log(house: House) -> None:
    _, takeover = await house.taken()

    assert (takeover.attempt, takeover.offset) == (1, 0)
    assert not takeover.cancelled
    assert takeover.crashes == 0


async def test_a_take_over_makes_the_run_running(house: House) -> None:
    run_id = await house.new_run()
    assert await state(house, run_id) is RunState.QUEUED

    await house.stream.take_over(run_id)

    run = await house.runs.get(run_id)
    assert run is not None
    assert (run.state, run.attempts) == (RunState.RUNNING, 1)
    assert run.started_at is not None
    assert run.ended_at is None


async def test_a_take_over_knows_the_queue_that_the_run_waited_in(house: House) -> None:
    run = new_run().model_copy(update={"queue": "research"})
    await house.runs.create(run)

    assert (await house.stream.take_over(run.id)).queue == "research"


async def test_a_take_over_in_the_middle_goes_on_at_the_next_offset(house: House) -> None:
    run_id, _ = await house.taken()
    await house.stream.append(Append(run_id, 1, 1, [b"a", b"b"]))

    takeover = await house.stream.take_over(run_id)
    await house.stream.append(Append(run_id, 2, takeover.offset + 1, [b"c"]))

    assert takeover.offset == 2
    assert await ids(house, run_id) == [(1, 1), (1, 2), (2, 3)]


async def test_a_take_over_after_silent_attempts_knows_the_offset(house: House) -> None:
    run_id, _ = await house.taken()
    await house.stream.append(Append(run_id, 1, 1, [b"a", b"b"]))
    await house.stream.take_over(run_id)
    await house.stream.take_over(run_id)

    assert (await house.stream.take_over(run_id))[:2] == (4, 2)


async def test_two_that_take_over_at_once_get_different_attempts(house: House) -> None:
    run_id = await house.new_run()

    takeovers = await asyncio.gather(*(house.stream.take_over(run_id) for _ in range(5)))

    assert sorted(takeover.attempt for takeover in takeovers) == [1, 2, 3, 4, 5]


async def test_an_unknown_run_cannot_be_taken_over(house: House) -> None:
    with pytest.raises(StreamClosed):
        await house.stream.take_over("unknown")

    assert await house.runs.get("unknown") is None
    assert await texts(house, "unknown") == []


@pytest.mark.parametrize("end", [RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED])
async def test_an_ended_run_cannot_be_taken_over(house: House, end: RunState) -> None:
    run_id, _ = await house.taken()
    await house.stream.append(Append(run_id, 1, 1, [DONE], Closure(end)))

    with pytest.raises(StreamClosed):
        await house.stream.take_over(run_id)

    run = await house.runs.get(run_id)
    assert run is not None
    assert (run.state, run.attempts) == (end, 1)


# Appending


async def test_entries_are_numbered_from_one_without_a_hole(house: House) -> None:
    run_id, _ = await house.taken()

    await house.stream.append(Append(run_id, 1, 1, [b"a"]))
    await house.stream.append(Append(run_id, 1, 2, [b"b", b"c"]))

    assert await read_all(house.stream, run_id) == [
        Entry(1, 1, b"a"),
        Entry(1, 2, b"b"),
        Entry(1, 3, b"c"),
    ]


@pytest.mark.parametrize(
    "data", [b"", b"0", b"12", b"[DONE] ", b"[]", "\u00e4\U0001f600\u2028".encode(), b"a b\tc"]
)
async def test_bytes_come_back_as_they_went_in(house: House, data: bytes) -> None:
    run_id, _ = await house.taken()

    await house.stream.append(Append(run_id, 1, 1, [data]))
    takeover = await house.stream.take_over(run_id)

    assert takeover.offset == 1
    assert await texts(house, run_id) == [data]


@pytest.mark.parametrize("first", [1, 2, 3, 4, 1000])
async def test_a_fenced_writer_is_refused_for_ever_at_any_offset(house: House, first: int) -> None:
    run_id, _ = await house.taken()
    await house.stream.append(Append(run_id, 1, 1, [b"a", b"b"]))
    await house.stream.take_over(run_id)
    before = await written(house, Append(run_id, 1, first, [b"stale"]))

    await house.stream.append(Append(run_id, 2, 3, [b"c"]))
    after = await written(house, Append(run_id, 1, first, [b"stale"]))

    assert isinstance(before, Fenced)
    assert isinstance(after, Fenced)
    assert await texts(house, run_id) == [b"a", b"b", b"c"]


async def test_a_fenced_writer_cannot_close(house: House) -> None:
    run_id, _ = await house.taken()
    await house.stream.take_over(run_id)

    verdict = await written(house, Append(run_id, 1, 1, [DONE], SUCCEEDED))

    assert isinstance(verdict, Fenced)
    assert await state(house, run_id) is RunState.RUNNING


async def test_the_same_append_again_changes_nothing(house: House) -> None:
    run_id, _ = await house.taken()
    append = Append(run_id, 1, 1, [b"a", b"b"])

    assert [await written(house, append) for _ in range(3)] == [False, False, False]

    assert await texts(house, run_id) == [b"a", b"b"]


async def test_of_a_partial_overlap_only_what_is_new_is_written(house: House) -> None:
    run_id, _ = await house.taken()
    await house.stream.append(Append(run_id, 1, 1, [b"a", b"b"]))

    verdict = await written(house, Append(run_id, 1, 2, [b"b", b"c", b"d"]))

    assert verdict is False
    assert await texts(house, run_id) == [b"a", b"b", b"c", b"d"]


async def test_an_append_repeated_after_a_newer_one_changes_nothing(house: House) -> None:
    run_id, _ = await house.taken()
    await house.stream.append(Append(run_id, 1, 1, [b"a", b"b"]))
    await house.stream.append(Append(run_id, 1, 3, [b"c"]))

    verdict = await written(house, Append(run_id, 1, 1, [b"a", b"b"]))

    assert verdict is False
    assert await texts(house, run_id) == [b"a", b"b", b"c"]


async def test_what_is_written_never_changes(house: House) -> None:
    run_id, _ = await house.taken()
    await house.stream.append(Append(run_id, 1, 1, [b"a", b"b"]))

    await house.stream.append(Append(run_id, 1, 1, [b"x", b"y", b"z"]))

    assert await texts(house, run_id) == [b"a", b"b", b"z"]


@pytest.mark.parametrize("first", [2, 3, 100])
async def test_a_gap_is_refused(house: House, first: int) -> None:
    run_id, _ = await house.taken()

    verdict = await written(house, Append(run_id, 1, first, [b"late"]))

    assert isinstance(verdict, StreamGap)
    assert await texts(house, run_id) == []


async def test_an_append_without_a_take_over_is_refused(house: House) -> None:
    run_id = await house.new_run()

    verdict = await written(house, Append(run_id, 1, 1, [b"a"]))

    assert isinstance(verdict, StreamGap)
    assert await texts(house, run_id) == []
    assert await state(house, run_id) is RunState.QUEUED


async def test_an_append_to_an_unknown_run_is_refused(house: House) -> None:
    verdict = await written(house, Append("unknown", 1, 1, [b"a", DONE], SUCCEEDED))

    assert isinstance(verdict, StreamGap)
    assert await house.runs.get("unknown") is None


async def test_an_attempt_that_is_yet_to_come_is_refused(house: House) -> None:
    run_id, _ = await house.taken()

    assert isinstance(await written(house, Append(run_id, 2, 1, [b"a"])), StreamGap)


async def test_an_append_of_nothing_changes_nothing(house: House) -> None:
    run_id, _ = await house.taken()

    assert await written(house, Append(run_id, 1, 1, [])) is False

    assert await texts(house, run_id) == []


async def test_one_call_writes_to_several_runs_and_answers_for_each(house: House) -> None:
    first, _ = await house.taken()
    stopped, _ = await house.taken()
    fenced, _ = await house.taken()
    closed, _ = await house.taken()
    await house.runs.request_cancel(stopped)
    await house.stream.take_over(fenced)
    await house.stream.append(Append(closed, 1, 1, [DONE], SUCCEEDED))

    verdicts = await house.stream.append(
        Append(first, 1, 1, [b"a"]),
        Append(fenced, 1, 1, [b"b"]),
        Append(stopped, 1, 1, [b"c"]),
        Append(closed, 1, 2, [b"d"]),
        Append(first, 1, 3, [b"e"]),
        Append(first, 1, 2, [b"f", DONE], SUCCEEDED),
    )

    kinds = [verdict if isinstance(verdict, bool) else type(verdict) for verdict in verdicts]
    assert kinds == [False, Fenced, True, StreamClosed, StreamGap, False]
    assert await texts(house, first) == [b"a", b"f", DONE]
    assert await texts(house, stopped) == [b"c"]
    assert await texts(house, fenced) == []


async def test_no_append_at_all_is_no_mistake(house: House) -> None:
    assert await house.stream.append() == []


# Ending


async def test_closure_ends_log_and_run_in_one_step(house: House) -> None:
    run_id, _ = await house.taken()
    closure = Closure(RunState.FAILED, "upstream_down")

    await house.stream.append(Append(run_id, 1, 1, [b"a", b"error", DONE], closure))

    run = await house.runs.get(run_id)
    assert run is not None
    assert (run.state, run.error) == (RunState.FAILED, "upstream_down")
    assert run.ended_at is not None
    assert run.ended_at >= run.created_at
    assert (await read_all(house.stream, run_id))[-1].ends


async def test_a_run_that_did_not_fail_has_no_error(house: House) -> None:
    run_id, _ = await house.taken()

    await house.stream.append(Append(run_id, 1, 1, [DONE], SUCCEEDED))

    run = await house.runs.get(run_id)
    assert run is not None
    assert run.error is None


async def test_closing_again_in_the_same_words_changes_nothing(house: House) -> None:
    run_id, _ = await house.taken()
    closing = Append(run_id, 1, 1, [b"finish", DONE], SUCCEEDED)
    await house.stream.append(closing)
    ended = await house.runs.get(run_id)

    assert await written(house, closing) is False

    assert await texts(house, run_id) == [b"finish", DONE]
    assert await house.runs.get(run_id) == ended


async def test_closing_again_with_another_end_does_not_change_the_state(house: House) -> None:
    run_id, _ = await house.taken()
    await house.stream.append(Append(run_id, 1, 1, [DONE], SUCCEEDED))

    await house.stream.append(Append(run_id, 1, 1, [DONE], Closure(RunState.FAILED, "late")))

    run = await house.runs.get(run_id)
    assert run is not None
    assert (run.state, run.error) == (RunState.SUCCEEDED, None)


@pytest.mark.parametrize(
    ("first", "entries", "closure"),
    [
        (3, [b"more"], None),
        (3, [b"abort", DONE], Closure(RunState.CANCELLED)),
        (1, [b"finish", DONE, b"more"], None),
        (2, [b"abort", DONE], Closure(RunState.CANCELLED)),
    ],
)
async def test_nothing_follows_the_closure(
    house: House, first: int, entries: Sequence[bytes], closure: Closure | None
) -> None:
    run_id, _ = await house.taken()
    await house.stream.append(Append(run_id, 1, 1, [b"finish", DONE], SUCCEEDED))

    verdict = await written(house, Append(run_id, 1, first, entries, closure))

    assert isinstance(verdict, StreamClosed)
    assert await texts(house, run_id) == [b"finish", DONE]
    assert await state(house, run_id) is RunState.SUCCEEDED


async def test_a_partial_overlap_can_close(house: House) -> None:
    run_id, _ = await house.taken()
    await house.stream.append(Append(run_id, 1, 1, [b"a"]))

    await house.stream.append(Append(run_id, 1, 1, [b"a", b"finish", DONE], SUCCEEDED))

    assert await texts(house, run_id) == [b"a", b"finish", DONE]
    assert await state(house, run_id) is RunState.SUCCEEDED


# Stopping and counting


async def test_a_requested_stop_comes_back_from_the_next_append(house: House) -> None:
    run_id, _ = await house.taken()
    before = await written(house, Append(run_id, 1, 1, [b"a"]))
    await house.runs.request_cancel(run_id)

    after = await written(house, Append(run_id, 1, 2, [b"b"]))

    assert (before, after) == (False, True)


async def test_a_requested_stop_comes_back_from_a_repeated_append(house: House) -> None:
    run_id, _ = await house.taken()
    await house.runs.request_cancel(run_id)
    append = Append(run_id, 1, 1, [b"a"])

    assert [await written(house, append), await written(house, append)] == [True, True]


async def test_a_requested_stop_comes_back_from_the_take_over(house: House) -> None:
    run_id = await house.new_run()
    await house.runs.request_cancel(run_id)

    assert (await house.stream.take_over(run_id)).cancelled


async def test_earlier_attempts_are_counted_by_how_they_ended(house: House) -> None:
    run_id, _ = await house.taken()
    await house.runs.count_failure(run_id, 1)
    await house.stream.take_over(run_id)
    await house.runs.count_handover(run_id, 2)
    await house.stream.take_over(run_id)
    await house.runs.count_handover(run_id, 3)
    await house.stream.take_over(run_id)

    takeover = await house.stream.take_over(run_id)

    assert (takeover.failures, takeover.handovers, takeover.crashes) == (1, 2, 1)


async def test_an_attempt_ends_once_however_often_it_is_told(house: House) -> None:
    run_id, _ = await house.taken()
    await house.runs.count_failure(run_id, 1)
    await house.runs.count_failure(run_id, 1)
    await house.runs.count_handover(run_id, 1)

    takeover = await house.stream.take_over(run_id)

    assert (takeover.failures, takeover.handovers, takeover.crashes) == (1, 0, 0)


async def test_the_time_runs_from_the_first_take_over(house: House) -> None:
    run_id, first = await house.taken()
    started = await house.runs.get(run_id)

    async def elapsed() -> float:
        return (await house.stream.take_over(run_id)).elapsed

    assert first.elapsed < 1
    assert 0 < await until(elapsed) < 60
    again = await house.runs.get(run_id)
    assert started is not None
    assert again is not None
    assert started.started_at == again.started_at


# Reading


async def test_reading_goes_on_after_the_cursor_across_attempts(house: House) -> None:
    run_id = await in_three_attempts(house)

    for offset in range(1, 7):
        cursor = Cursor((offset + 1) // 2, offset)
        page = await house.stream.read(run_id, cursor)
        assert [entry.offset for entry in page.entries] == list(range(offset + 1, 7))
        assert not page.more


@pytest.mark.parametrize("attempt", [0, 1, 2])
async def test_of_a_cursor_with_a_stale_attempt_the_offset_decides(
    house: House, attempt: int
) -> None:
    run_id = await in_three_attempts(house)

    page = await house.stream.read(run_id, Cursor(attempt, 5))

    assert page.entries == [Entry(3, 6, b"6")]


async def test_a_cursor_at_the_end_finds_nothing(house: House) -> None:
    run_id = await in_three_attempts(house)

    assert await house.stream.read(run_id, Cursor(3, 6)) == ([], False)


async def test_a_log_that_is_not_there_is_empty(house: House) -> None:
    assert await house.stream.read("unknown") == ([], False)
    assert await house.stream.read("unknown", Cursor(1, 5)) == ([], False)


async def test_a_long_log_is_read_in_pages(house: House) -> None:
    run_id = await long_log(house, 2 * PAGE + 10)

    first = await house.stream.read(run_id)
    second = await house.stream.read(run_id, first.entries[-1].cursor)

    assert first.more
    assert second.more
    assert len(first.entries) <= PAGE
    assert second.entries[0].offset == first.entries[-1].offset + 1
    assert [entry.offset for entry in await read_all(house.stream, run_id)] == list(
        range(1, 2 * PAGE + 11)
    )


@pytest.mark.parametrize("attempt", [0, 1])
async def test_a_stale_cursor_far_into_a_long_log_finds_its_place(
    house: House, attempt: int
) -> None:
    run_id, _ = await house.taken()
    await house.stream.take_over(run_id)
    await append_many(house, run_id, attempt=2, count=2 * PAGE + 10)

    page = await house.stream.read(run_id, Cursor(attempt, 2 * PAGE + 8))

    assert page == ([Entry(2, 2 * PAGE + 9, b"2009"), Entry(2, 2 * PAGE + 10, b"2010")], False)


async def test_fences_are_never_read(house: House) -> None:
    run_id, _ = await house.taken()
    for _ in range(PAGE + 1):
        await house.stream.take_over(run_id)
    await house.stream.append(Append(run_id, PAGE + 2, 1, [b"a"]))

    assert (await house.stream.read(run_id)).entries == [Entry(PAGE + 2, 1, b"a")]


async def in_three_attempts(house: House) -> str:
    """A log of six entries, two by each attempt."""
    run_id = await house.new_run()
    for first in (1, 3, 5):
        attempt = (await house.stream.take_over(run_id)).attempt
        entries = [b"%d" % first, b"%d" % (first + 1)]
        await house.stream.append(Append(run_id, attempt, first, entries))
    return run_id


async def long_log(house: House, count: int) -> str:
    run_id, _ = await house.taken()
    await append_many(house, run_id, attempt=1, count=count)
    return run_id


async def append_many(house: House, run_id: str, *, attempt: int, count: int) -> None:
    entries = [b"%d" % offset for offset in range(1, count + 1)]
    for start in range(0, count, 100):
        part = entries[start : start + 100]
        assert await written(house, Append(run_id, attempt, start + 1, part)) is False


# What only Redis has: keys that expire, and publications


async def ttls(redis: Redis, run_id: str) -> list[float]:
    names = (keys.run(run_id), keys.stream(run_id))
    return [await redis.execute_command("PTTL", name) / 1000 for name in names]


async def test_keys_of_a_live_run_are_renewed_by_each_write(
    redis: Redis, redis_only: House
) -> None:
    run_id, _ = await redis_only.taken()
    taken = await ttls(redis, run_id)
    await expire_soon(redis, run_id)

    await redis_only.stream.append(Append(run_id, 1, 1, [b"a"]))
    appended = await ttls(redis, run_id)
    await expire_soon(redis, run_id)
    await redis_only.stream.take_over(run_id)

    for left in (*taken, *appended, *await ttls(redis, run_id)):
        assert LIVE_TTL - 30 < left <= LIVE_TTL


async def expire_soon(redis: Redis, run_id: str) -> None:
    for name in (keys.run(run_id), keys.stream(run_id)):
        await redis.execute_command("PEXPIRE", name, 20_000)


async def test_keys_of_an_ended_run_are_kept_for_the_retention(
    redis: Redis, redis_only: House
) -> None:
    run_id, _ = await redis_only.taken()

    await redis_only.stream.append(Append(run_id, 1, 1, [b"finish", DONE], SUCCEEDED))

    for left in await ttls(redis, run_id):
        assert RETENTION - 30 < left <= RETENTION


async def test_a_refused_write_does_not_prolong_an_ended_run(
    redis: Redis, redis_only: House
) -> None:
    run_id, _ = await redis_only.taken()
    closing = Append(run_id, 1, 1, [b"finish", DONE], SUCCEEDED)
    await redis_only.stream.append(closing)
    await expire_soon(redis, run_id)

    await redis_only.stream.append(closing, Append(run_id, 1, 3, [b"late"]))

    for left in await ttls(redis, run_id):
        assert left <= 20


async def test_a_count_does_not_bring_an_expired_run_back(redis: Redis, redis_only: House) -> None:
    await redis_only.runs.request_cancel("expired")
    await redis_only.runs.count_failure("expired", 1)
    await redis_only.runs.count_handover("expired", 1)

    assert await redis.execute_command("EXISTS", keys.run("expired")) == 0


async def test_the_writes_survive_a_server_that_has_forgotten_the_scripts(
    redis: Redis, redis_only: House
) -> None:
    await redis.execute_command("SCRIPT", "FLUSH")
    run_id, _ = await redis_only.taken()
    await redis.execute_command("SCRIPT", "FLUSH")

    verdicts = await redis_only.stream.append(
        Append(run_id, 1, 1, [b"a"]), Append(run_id, 1, 2, [b"b"])
    )

    assert verdicts == [False, False]
    assert await texts(redis_only, run_id) == [b"a", b"b"]


async def test_a_server_that_is_full_is_away_and_has_written_nothing(
    redis: Redis, redis_only: House
) -> None:
    run_id, _ = await redis_only.taken()
    append = Append(run_id, 1, 1, [b"a", b"b"])
    await redis.execute_command("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(REDIS_UNAVAILABLE):
            await redis_only.stream.append(append)
    finally:
        await redis.execute_command("CONFIG", "SET", "maxmemory", 0)

    assert await texts(redis_only, run_id) == []
    assert await written(redis_only, append) is False
    assert await texts(redis_only, run_id) == [b"a", b"b"]


async def test_all_keys_of_a_run_live_on_one_node() -> None:
    run = new_run("some-run")

    assert "{some-run}" in keys.run(run.id)
    assert "{some-run}" in keys.stream(run.id)


async def test_what_is_new_is_published_once_as_lines(
    valkey: Valkey, redis: Redis, redis_only: House
) -> None:
    run_id, _ = await redis_only.taken()
    listener, channel = Recorder(), keys.stream(run_id)
    async with Subscriber(valkey.url, name="test") as subscriber:
        subscriber.add(channel, listener)
        await listener.has_gaps(1)

        for append in (
            Append(run_id, 1, 1, [b'{"a": 1}', b"b"]),
            Append(run_id, 1, 1, [b'{"a": 1}', b"b"]),
            Append(run_id, 1, 2, [b"b", b"c"]),
            Append(run_id, 1, 5, [b"gap"]),
        ):
            await redis_only.stream.append(append)
        await redis_only.stream.take_over(run_id)
        for append in (
            Append(run_id, 1, 4, [b"stale"]),
            Append(run_id, 2, 4, [DONE], SUCCEEDED),
            Append(run_id, 2, 4, [DONE], SUCCEEDED),
            Append(run_id, 2, 5, [b"late"]),
        ):
            await redis_only.stream.append(append)

        messages = await listener.all_before(redis, channel)
    assert messages == [b'1-1 {"a": 1}\n1-2 b', b"1-3 c", b"2-4 [DONE]"]
