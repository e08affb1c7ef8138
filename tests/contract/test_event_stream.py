"""Takeovers, appends and closures, which every event stream must handle alike."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from shared.errors import Fenced, StreamClosed, StreamGap
from shared.streams.event_stream import Append, Closure, Entry, StoredRun, Takeover, read_all
from shared.streams.events import DONE
from shared.streams.run_state import RunState
from tests.support.fakes.runs import new_run
from tests.support.stream_harness import StreamHarness
from tests.support.wait import until

SUCCEEDED = Closure(RunState.SUCCEEDED)


# Takeovers


async def test_first_takeover_finds_an_empty_stream(harness: StreamHarness) -> None:
    _, takeover = await harness.begin_run()

    assert (takeover.attempt, takeover.offset) == (1, 0)
    assert not takeover.stop_requested
    assert takeover.crashes == 0


async def test_takeover_sets_the_run_to_running(harness: StreamHarness) -> None:
    run_id = await harness.create_run()
    assert (await harness.run(run_id)).state is RunState.QUEUED

    await harness.stream.take_over(run_id)

    run = await harness.run(run_id)
    assert (run.state, run.attempts) == (RunState.RUNNING, 1)
    assert run.started_at is not None
    assert run.ended_at is None


async def test_takeover_returns_the_queue_of_the_run(harness: StreamHarness) -> None:
    run = new_run().model_copy(update={"queue": "research"})
    await harness.runs.create(run)

    assert (await harness.stream.take_over(run.id)).queue == "research"


async def test_later_attempt_continues_at_the_next_offset(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    await harness.stream.append(Append(run_id, 1, 1, [b"a", b"b"]))

    takeover = await harness.stream.take_over(run_id)
    await harness.stream.append(Append(run_id, 2, takeover.offset + 1, [b"c"]))

    assert takeover.offset == 2
    assert await harness.cursors(run_id) == [(1, 1), (1, 2), (2, 3)]


async def test_takeover_returns_the_offset_after_empty_attempts(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    await harness.stream.append(Append(run_id, 1, 1, [b"a", b"b"]))
    await harness.stream.take_over(run_id)
    await harness.stream.take_over(run_id)

    assert (await harness.stream.take_over(run_id))[:2] == (4, 2)


async def test_concurrent_takeovers_get_distinct_attempts(harness: StreamHarness) -> None:
    run_id = await harness.create_run()

    takeovers = await asyncio.gather(*(harness.stream.take_over(run_id) for _ in range(5)))

    assert sorted(takeover.attempt for takeover in takeovers) == [1, 2, 3, 4, 5]


async def test_takeover_of_an_unknown_run_raises_stream_closed(harness: StreamHarness) -> None:
    with pytest.raises(StreamClosed):
        await harness.stream.take_over("unknown")

    assert await harness.runs.get("unknown") is None
    assert await harness.payloads("unknown") == []


@pytest.mark.parametrize("end", [RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED])
async def test_takeover_of_an_ended_run_raises_stream_closed(
    harness: StreamHarness, end: RunState
) -> None:
    run_id, _ = await harness.begin_run()
    await harness.stream.append(Append(run_id, 1, 1, [DONE], Closure(end)))

    with pytest.raises(StreamClosed):
        await harness.stream.take_over(run_id)

    run = await harness.run(run_id)
    assert (run.state, run.attempts) == (end, 1)


# Appends


async def test_offsets_are_consecutive_from_one(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()

    await harness.stream.append(Append(run_id, 1, 1, [b"a"]))
    await harness.stream.append(Append(run_id, 1, 2, [b"b", b"c"]))

    assert await read_all(harness.stream, run_id) == [
        Entry(1, 1, b"a"),
        Entry(1, 2, b"b"),
        Entry(1, 3, b"c"),
    ]


@pytest.mark.parametrize(
    "data", [b"", b"0", b"12", b"[DONE] ", b"[]", "\u00e4\U0001f600\u2028".encode(), b"a b\tc"]
)
async def test_entry_bytes_round_trip(harness: StreamHarness, data: bytes) -> None:
    run_id, _ = await harness.begin_run()

    await harness.stream.append(Append(run_id, 1, 1, [data]))
    takeover = await harness.stream.take_over(run_id)

    assert takeover.offset == 1
    assert await harness.payloads(run_id) == [data]


@pytest.mark.parametrize("first", [1, 2, 3, 4, 1000])
async def test_append_of_an_earlier_attempt_is_fenced_at_any_offset(
    harness: StreamHarness, first: int
) -> None:
    run_id, _ = await harness.begin_run()
    await harness.stream.append(Append(run_id, 1, 1, [b"a", b"b"]))
    await harness.stream.take_over(run_id)
    before = await harness.append(Append(run_id, 1, first, [b"stale"]))

    await harness.stream.append(Append(run_id, 2, 3, [b"c"]))
    after = await harness.append(Append(run_id, 1, first, [b"stale"]))

    assert isinstance(before, Fenced)
    assert isinstance(after, Fenced)
    assert await harness.payloads(run_id) == [b"a", b"b", b"c"]


async def test_close_of_an_earlier_attempt_is_fenced(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    await harness.stream.take_over(run_id)

    verdict = await harness.append(Append(run_id, 1, 1, [DONE], SUCCEEDED))

    assert isinstance(verdict, Fenced)
    assert (await harness.run(run_id)).state is RunState.RUNNING


async def test_repeated_append_changes_nothing(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    append = Append(run_id, 1, 1, [b"a", b"b"])

    assert [await harness.append(append) for _ in range(3)] == [False, False, False]

    assert await harness.payloads(run_id) == [b"a", b"b"]


async def test_overlapping_append_writes_only_new_entries(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    await harness.stream.append(Append(run_id, 1, 1, [b"a", b"b"]))

    verdict = await harness.append(Append(run_id, 1, 2, [b"b", b"c", b"d"]))

    assert verdict is False
    assert await harness.payloads(run_id) == [b"a", b"b", b"c", b"d"]


async def test_append_repeated_after_a_later_one_changes_nothing(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    await harness.stream.append(Append(run_id, 1, 1, [b"a", b"b"]))
    await harness.stream.append(Append(run_id, 1, 3, [b"c"]))

    verdict = await harness.append(Append(run_id, 1, 1, [b"a", b"b"]))

    assert verdict is False
    assert await harness.payloads(run_id) == [b"a", b"b", b"c"]


async def test_append_does_not_overwrite_entries(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    await harness.stream.append(Append(run_id, 1, 1, [b"a", b"b"]))

    await harness.stream.append(Append(run_id, 1, 1, [b"x", b"y", b"z"]))

    assert await harness.payloads(run_id) == [b"a", b"b", b"z"]


@pytest.mark.parametrize("first", [2, 3, 100])
async def test_append_after_a_gap_returns_stream_gap(harness: StreamHarness, first: int) -> None:
    run_id, _ = await harness.begin_run()

    verdict = await harness.append(Append(run_id, 1, first, [b"late"]))

    assert isinstance(verdict, StreamGap)
    assert await harness.payloads(run_id) == []


async def test_append_before_a_takeover_returns_stream_gap(harness: StreamHarness) -> None:
    run_id = await harness.create_run()

    verdict = await harness.append(Append(run_id, 1, 1, [b"a"]))

    assert isinstance(verdict, StreamGap)
    assert await harness.payloads(run_id) == []
    assert (await harness.run(run_id)).state is RunState.QUEUED


async def test_append_to_an_unknown_run_returns_stream_gap(harness: StreamHarness) -> None:
    verdict = await harness.append(Append("unknown", 1, 1, [b"a", DONE], SUCCEEDED))

    assert isinstance(verdict, StreamGap)
    assert await harness.runs.get("unknown") is None


async def test_append_of_a_future_attempt_returns_stream_gap(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()

    assert isinstance(await harness.append(Append(run_id, 2, 1, [b"a"])), StreamGap)


async def test_append_without_entries_changes_nothing(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()

    assert await harness.append(Append(run_id, 1, 1, [])) is False

    assert await harness.payloads(run_id) == []


async def test_append_call_returns_a_verdict_for_each_append(harness: StreamHarness) -> None:
    first, _ = await harness.begin_run()
    stopped, _ = await harness.begin_run()
    fenced, _ = await harness.begin_run()
    closed, _ = await harness.begin_run()
    await harness.runs.request_stop(stopped)
    await harness.stream.take_over(fenced)
    await harness.stream.append(Append(closed, 1, 1, [DONE], SUCCEEDED))

    verdicts = await harness.stream.append(
        Append(first, 1, 1, [b"a"]),
        Append(fenced, 1, 1, [b"b"]),
        Append(stopped, 1, 1, [b"c"]),
        Append(closed, 1, 2, [b"d"]),
        Append(first, 1, 3, [b"e"]),
        Append(first, 1, 2, [b"f", DONE], SUCCEEDED),
    )

    kinds = [verdict if isinstance(verdict, bool) else type(verdict) for verdict in verdicts]
    assert kinds == [False, Fenced, True, StreamClosed, StreamGap, StoredRun]
    assert await harness.payloads(first) == [b"a", b"f", DONE]
    assert await harness.payloads(stopped) == [b"c"]
    assert await harness.payloads(fenced) == []


async def test_append_call_without_appends_returns_no_verdicts(harness: StreamHarness) -> None:
    assert await harness.stream.append() == []


# Closures


async def test_closure_ends_stream_and_run_atomically(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    closure = Closure(RunState.FAILED, "upstream_down")

    await harness.stream.append(Append(run_id, 1, 1, [b"a", b"error", DONE], closure))

    run = await harness.run(run_id)
    assert (run.state, run.error) == (RunState.FAILED, "upstream_down")
    assert run.ended_at is not None
    assert run.ended_at >= run.admitted_at
    assert (await read_all(harness.stream, run_id))[-1].is_last


async def test_succeeded_run_has_no_error(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()

    await harness.stream.append(Append(run_id, 1, 1, [DONE], SUCCEEDED))

    run = await harness.run(run_id)
    assert run.error is None


async def test_repeated_close_changes_nothing(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    closing = Append(run_id, 1, 1, [b"finish", DONE], SUCCEEDED)
    before = await harness.append(closing)
    ended = await harness.runs.get(run_id)

    assert await harness.append(closing) == before

    assert await harness.payloads(run_id) == [b"finish", DONE]
    assert await harness.runs.get(run_id) == ended


async def test_close_returns_what_the_run_occupies(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    await harness.stream.append(Append(run_id, 1, 1, [b"x" * 1000]))

    stored = await harness.append(Append(run_id, 1, 2, [DONE], SUCCEEDED))

    assert isinstance(stored, StoredRun)
    assert stored.owner == (await harness.run(run_id)).owner
    # fakeredis has no MEMORY USAGE.
    assert stored.stream_bytes == 0 or 1000 < stored.stream_bytes < 5000


async def test_close_with_another_state_keeps_the_first_state(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    await harness.stream.append(Append(run_id, 1, 1, [DONE], SUCCEEDED))

    await harness.stream.append(Append(run_id, 1, 1, [DONE], Closure(RunState.FAILED, "late")))

    run = await harness.run(run_id)
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
async def test_append_after_the_close_returns_stream_closed(
    harness: StreamHarness, first: int, entries: Sequence[bytes], closure: Closure | None
) -> None:
    run_id, _ = await harness.begin_run()
    await harness.stream.append(Append(run_id, 1, 1, [b"finish", DONE], SUCCEEDED))

    verdict = await harness.append(Append(run_id, 1, first, entries, closure))

    assert isinstance(verdict, StreamClosed)
    assert await harness.payloads(run_id) == [b"finish", DONE]
    assert (await harness.run(run_id)).state is RunState.SUCCEEDED


async def test_overlapping_append_can_close_the_stream(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    await harness.stream.append(Append(run_id, 1, 1, [b"a"]))

    await harness.stream.append(Append(run_id, 1, 1, [b"a", b"finish", DONE], SUCCEEDED))

    assert await harness.payloads(run_id) == [b"a", b"finish", DONE]
    assert (await harness.run(run_id)).state is RunState.SUCCEEDED


# Stops and counts


async def test_append_reports_a_requested_stop(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    before = await harness.append(Append(run_id, 1, 1, [b"a"]))
    await harness.runs.request_stop(run_id)

    after = await harness.append(Append(run_id, 1, 2, [b"b"]))

    assert (before, after) == (False, True)


async def test_repeated_append_reports_a_requested_stop(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    await harness.runs.request_stop(run_id)
    append = Append(run_id, 1, 1, [b"a"])

    assert [await harness.append(append), await harness.append(append)] == [True, True]


async def test_takeover_reports_a_requested_stop(harness: StreamHarness) -> None:
    run_id = await harness.create_run()
    await harness.runs.request_stop(run_id)

    assert (await harness.stream.take_over(run_id)).stop_requested


async def test_takeover_counts_failures_handovers_and_crashes(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    await harness.runs.count_failure(run_id, 1)
    await harness.stream.take_over(run_id)
    await harness.runs.count_handover(run_id, 2)
    await harness.stream.take_over(run_id)
    await harness.runs.count_handover(run_id, 3)
    await harness.stream.take_over(run_id)

    takeover = await harness.stream.take_over(run_id)

    assert (takeover.failures, takeover.handovers, takeover.crashes) == (1, 2, 1)


async def test_attempt_end_is_counted_once(harness: StreamHarness) -> None:
    run_id, _ = await harness.begin_run()
    await harness.runs.count_failure(run_id, 1)
    await harness.runs.count_failure(run_id, 1)
    await harness.runs.count_handover(run_id, 1)

    takeover = await harness.stream.take_over(run_id)

    assert (takeover.failures, takeover.handovers, takeover.crashes) == (1, 0, 0)


async def test_elapsed_time_starts_at_the_first_takeover(harness: StreamHarness) -> None:
    run_id, first = await harness.begin_run()
    started = await harness.run(run_id)

    async def elapsed() -> float:
        await harness.runs.count_handover(run_id, (await harness.run(run_id)).attempts)
        return (await harness.stream.take_over(run_id)).elapsed

    assert first.elapsed < 1
    assert 0 < await until(elapsed) < 60
    assert (await harness.run(run_id)).started_at == started.started_at


async def test_time_after_the_last_event_before_a_crash_is_not_elapsed(
    harness: StreamHarness,
) -> None:
    run_id, _ = await harness.begin_run()
    began = time.monotonic()

    async def later_takeover() -> Takeover | None:
        takeover = await harness.stream.take_over(run_id)
        return takeover if time.monotonic() - began > 0.2 else None

    takeover = await until(later_takeover)
    assert takeover is not None
    assert takeover.elapsed < 0.1
