import asyncio
from collections.abc import AsyncGenerator

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.errors import BackgroundTaskFailed, Fenced, StreamClosed, WriterStopped
from shared.streams.event_stream import Append, Closure
from shared.streams.events import (
    DONE,
    Finish,
    FinishStep,
    ReasoningDelta,
    Start,
    StartStep,
    StreamEvent,
    TextDelta,
    TextEnd,
    TextStart,
    ToolInputDelta,
    ToolOutputAvailable,
    decode,
)
from shared.streams.run_state import RunState
from tests.support.fakes.controlled_stream import ControlledStream
from tests.support.fakes.runs import new_run
from worker.output.writer import GroupCommitter, RunWriter

SUCCEEDED = Closure(RunState.SUCCEEDED)
FINISH = Finish(finish_reason="stop")


class WriterHarness:
    def __init__(self, stream: ControlledStream, committer: GroupCommitter) -> None:
        self.stream = stream
        self.committer = committer

    async def writer(self) -> "RecordingWriter":
        run = new_run()
        await self.stream.create(run)
        takeover = await self.stream.take_over(run.id)
        return RecordingWriter(self, run.id, takeover.attempt, takeover.offset)


class RecordingWriter(RunWriter):
    """A writer that records its callbacks."""

    def __init__(self, harness: WriterHarness, run_id: str, attempt: int, offset: int) -> None:
        self.callbacks: list[str] = []
        super().__init__(
            harness.committer,
            run_id,
            attempt=attempt,
            offset=offset,
            on_refused=lambda: self.callbacks.append("refused"),
            on_stop=lambda: self.callbacks.append("stop"),
        )
        self.run_id = run_id
        self._entries = harness.stream.entries[run_id]

    @property
    def events(self) -> list[StreamEvent]:
        """The events in the stream of the run."""
        return [decode(entry.data) for entry in self._entries if not entry.is_last]


@pytest.fixture
async def harness() -> AsyncGenerator[WriterHarness]:
    stream = ControlledStream()
    async with GroupCommitter(stream) as committer:
        yield WriterHarness(stream, committer)


@pytest.fixture
def short_retry_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.output.writer._MAX_RETRY_SECONDS", 0.001)


def text(delta: str, part: str = "1") -> TextDelta:
    return TextDelta(id=part, delta=delta)


async def block_first_append(harness: WriterHarness, writer: RunWriter) -> None:
    """Write an event whose append does not complete until the stream is opened."""
    harness.stream.open.clear()
    writer.write(Start(message_id="m"))
    await harness.stream.called(1)


# Joining deltas


async def test_first_event_is_appended_immediately(harness: WriterHarness) -> None:
    writer = await harness.writer()
    harness.stream.open.clear()

    writer.write(text("a"))
    await asyncio.sleep(0)

    assert harness.stream.calls == [(Append(writer.run_id, 1, 1, [text("a").encode()]),)]


async def test_each_delta_is_an_entry_when_nothing_is_in_flight(harness: WriterHarness) -> None:
    writer = await harness.writer()

    for delta in "abc":
        writer.write(text(delta))
        await writer.drain()

    assert writer.events == [text("a"), text("b"), text("c")]
    assert len(harness.stream.calls) == 3


async def test_deltas_during_an_append_are_joined(harness: WriterHarness) -> None:
    writer = await harness.writer()
    await block_first_append(harness, writer)

    for delta in "abc":
        writer.write(text(delta))
        await asyncio.sleep(0)
    harness.stream.open.set()
    await writer.drain()

    assert writer.events == [Start(message_id="m"), text("abc")]
    assert len(harness.stream.calls) == 2


async def test_boundaries_are_written_with_the_next_event(harness: WriterHarness) -> None:
    writer = await harness.writer()

    for event in (StartStep(), text("a"), TextEnd(id="1"), FinishStep(), FINISH):
        writer.write(event)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await writer.drain()

    assert [len(append.entries) for (append,) in harness.stream.calls] == [2, 3]


async def test_start_is_written_with_an_event_that_follows_soon(harness: WriterHarness) -> None:
    writer = await harness.writer()

    writer.write(Start(message_id="m"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert harness.stream.calls == []
    writer.write(text("a"))
    await writer.drain()
    await asyncio.sleep(0.02)  # longer than `start` may wait: there is nothing left to write

    assert [len(append.entries) for (append,) in harness.stream.calls] == [2]


async def test_start_without_a_next_event_is_written_soon(harness: WriterHarness) -> None:
    writer = await harness.writer()

    writer.write(Start(message_id="m"))
    await harness.stream.called(1)
    await writer.drain()

    assert writer.events == [Start(message_id="m")]


async def test_boundaries_without_a_next_event_are_written_by_drain(harness: WriterHarness) -> None:
    writer = await harness.writer()

    writer.write(FinishStep())
    await writer.drain()

    assert writer.events == [FinishStep()]


async def test_one_call_commits_the_events_of_all_runs(harness: WriterHarness) -> None:
    first, second, third = [await harness.writer() for _ in range(3)]
    await block_first_append(harness, first)

    for delta in "ab":
        for writer in (third, second, first):
            writer.write(text(delta))
    harness.stream.open.set()
    await asyncio.gather(first.drain(), second.drain(), third.drain())

    assert len(harness.stream.calls) == 2
    assert len(harness.stream.calls[1]) == 3
    assert second.events == third.events == [text("ab")]
    assert first.events == [Start(message_id="m"), text("ab")]


async def test_only_adjacent_deltas_are_joined_in_order(harness: WriterHarness) -> None:
    writer = await harness.writer()
    await block_first_append(harness, writer)
    written: list[StreamEvent] = [
        TextStart(id="1"),
        text("a"),
        ReasoningDelta(id="1", delta="b"),
        text("c"),
        text("d", part="2"),
        ToolInputDelta(tool_call_id="x", input_text_delta="e"),
        ToolInputDelta(tool_call_id="y", input_text_delta="f"),
        TextEnd(id="1"),
        StartStep(),
        StartStep(),
    ]

    for event in written:
        writer.write(event)
    harness.stream.open.set()
    await writer.drain()

    assert writer.events == [Start(message_id="m"), *written]


@pytest.mark.parametrize("size", [1, 100, 1000])
async def test_joined_entry_size_is_capped(harness: WriterHarness, size: int) -> None:
    writer = await harness.writer()
    await block_first_append(harness, writer)

    for _ in range(20_000 // size):
        writer.write(text("x" * size))
    harness.stream.open.set()
    await writer.drain()

    deltas = [event.delta for event in writer.events if isinstance(event, TextDelta)]
    assert sum(map(len, deltas)) == 20_000
    assert max(map(len, deltas)) < 4096 + size
    assert min(map(len, deltas[:-1])) >= 4096


async def test_joined_tool_input_size_is_capped(harness: WriterHarness) -> None:
    writer = await harness.writer()
    await block_first_append(harness, writer)

    for _ in range(100):
        writer.write(ToolInputDelta(tool_call_id="c", input_text_delta="x" * 100))
    harness.stream.open.set()
    await writer.drain()

    assert len(writer.events) == 1 + 3


async def test_later_delta_does_not_change_an_entry_in_flight(harness: WriterHarness) -> None:
    writer = await harness.writer()
    harness.stream.open.clear()
    writer.write(text("a"))
    await harness.stream.called(1)

    writer.write(text("b"))
    harness.stream.open.set()
    await writer.drain()

    assert writer.events == [text("a"), text("b")]


async def test_later_attempt_appends_at_its_offset(harness: WriterHarness) -> None:
    writer = await harness.writer()
    writer.write(text("a"))
    await writer.drain()
    takeover = await harness.stream.take_over(writer.run_id)

    later = RecordingWriter(harness, writer.run_id, takeover.attempt, takeover.offset)
    later.write(text("b"))
    await later.drain()

    assert [entry[:2] for entry in harness.stream.entries[writer.run_id]] == [(1, 1), (2, 2)]


# Refusals and stops


async def test_fenced_writer_raises_on_each_write_and_notifies_once(harness: WriterHarness) -> None:
    writer = await harness.writer()
    await harness.stream.take_over(writer.run_id)

    writer.write(text("a"))
    with pytest.raises(Fenced):
        await writer.drain()

    for _ in range(3):
        with pytest.raises(Fenced):
            writer.write(text("b"))
    assert writer.callbacks == ["refused"]
    assert writer.events == []


async def test_refusal_is_reported_once_with_more_events_pending(harness: WriterHarness) -> None:
    writer, other = await harness.writer(), await harness.writer()
    await block_first_append(harness, writer)
    writer.write(text("a"))
    await harness.stream.take_over(writer.run_id)
    harness.stream.open.set()
    with pytest.raises(Fenced):
        await writer.drain()

    other.write(text("b"))
    await other.drain()

    assert writer.callbacks == ["refused"]
    assert writer.events == []


async def test_refused_run_does_not_block_other_runs(harness: WriterHarness) -> None:
    fenced, other = await harness.writer(), await harness.writer()
    await harness.stream.take_over(fenced.run_id)

    fenced.write(text("a"))
    other.write(text("b"))
    await other.drain()

    assert other.events == [text("b")]
    assert (fenced.callbacks, other.callbacks) == (["refused"], [])


async def test_unserializable_event_fails_only_its_own_run(harness: WriterHarness) -> None:
    broken, other = await harness.writer(), await harness.writer()
    await block_first_append(harness, other)
    broken.write(ToolOutputAvailable(tool_call_id="c", output=object()))
    other.write(text("a"))
    harness.stream.open.set()

    await other.drain()
    with pytest.raises(ValueError, match="serialize"):
        await broken.drain()

    other.write(text("b"))
    await other.drain()
    assert other.events == [Start(message_id="m"), text("a"), text("b")]
    assert (broken.callbacks, broken.events) == (["refused"], [])


async def test_requested_stop_is_reported(harness: WriterHarness) -> None:
    writer = await harness.writer()
    writer.write(text("a"))
    await writer.drain()
    assert writer.callbacks == []
    await harness.stream.request_stop(writer.run_id)

    writer.write(text("b"))
    await writer.drain()

    assert writer.callbacks == ["stop"]
    assert writer.events == [text("a"), text("b")]


# Redis outages


@pytest.mark.usefixtures("short_retry_delay")
@pytest.mark.parametrize("error", [RedisConnectionError(), RedisTimeoutError(), OSError()])
async def test_append_is_retried_until_redis_accepts_it(
    harness: WriterHarness, error: Exception
) -> None:
    writer = await harness.writer()
    harness.stream.unreachable = [error] * 5

    writer.write(text("a"))
    await writer.drain()

    assert writer.events == [text("a")]
    assert len(harness.stream.calls) == 6
    assert len({call[0].entries[0] for call in harness.stream.calls}) == 1
    assert all(call == harness.stream.calls[0] for call in harness.stream.calls)


@pytest.mark.usefixtures("short_retry_delay")
async def test_append_after_a_lost_reply_writes_nothing_twice(harness: WriterHarness) -> None:
    writer = await harness.writer()
    harness.stream.lost_replies = [RedisConnectionError(), RedisTimeoutError()]

    writer.write(text("a"))
    await harness.stream.called(1)
    writer.write(text("b"))
    await writer.close([FINISH], SUCCEEDED)

    assert writer.events == [text("a"), text("b"), FINISH]
    assert writer.callbacks == []


@pytest.mark.usefixtures("short_retry_delay")
async def test_stop_is_reported_after_a_lost_reply(harness: WriterHarness) -> None:
    writer = await harness.writer()
    await harness.stream.request_stop(writer.run_id)
    harness.stream.lost_replies = [RedisConnectionError()]

    writer.write(text("a"))
    await writer.drain()

    assert writer.callbacks == ["stop"]


@pytest.mark.usefixtures("short_retry_delay")
async def test_deltas_during_an_outage_are_joined(harness: WriterHarness) -> None:
    writer = await harness.writer()
    harness.stream.unreachable = [RedisConnectionError()] * 3
    writer.write(text("a"))
    await harness.stream.called(2)

    writer.write(text("b"))
    writer.write(text("c"))
    await writer.drain()

    assert writer.events == [text("a"), text("bc")]


# Closing


async def test_close_writes_done_last_and_once(harness: WriterHarness) -> None:
    writer = await harness.writer()
    writer.write(text("a"))

    await writer.close([TextEnd(id="1"), FINISH], Closure(RunState.FAILED, "code"))

    assert writer.events == [text("a"), TextEnd(id="1"), FINISH]
    assert [entry.data == DONE for entry in harness.stream.entries[writer.run_id]] == [
        False,
        False,
        False,
        True,
    ]
    run = harness.stream.runs[writer.run_id]
    assert (run.state, run.error) == (RunState.FAILED, "code")


async def test_close_waits_until_the_end_is_written(harness: WriterHarness) -> None:
    writer = await harness.writer()
    await block_first_append(harness, writer)

    closing = asyncio.create_task(writer.close([FINISH], SUCCEEDED))
    await asyncio.sleep(0)
    assert not closing.done()
    harness.stream.open.set()
    await closing

    assert harness.stream.runs[writer.run_id].state is RunState.SUCCEEDED
    assert len(harness.stream.calls) == 2


async def test_close_of_a_closed_stream_raises_stream_closed(harness: WriterHarness) -> None:
    writer = await harness.writer()
    await harness.stream.append(Append(writer.run_id, 1, 1, [b"{}", DONE], SUCCEEDED))

    writer.write(text("a"))
    writer.write(text("b", part="2"))
    writer.write(text("c", part="3"))
    with pytest.raises(StreamClosed):
        await writer.close([FINISH], Closure(RunState.FAILED, "late"))

    assert writer.callbacks == ["refused"]
    assert harness.stream.runs[writer.run_id].state is RunState.SUCCEEDED


async def test_close_by_a_fenced_writer_raises_fenced(harness: WriterHarness) -> None:
    writer = await harness.writer()
    await harness.stream.take_over(writer.run_id)

    with pytest.raises(Fenced):
        await writer.close([FINISH], SUCCEEDED)

    assert harness.stream.runs[writer.run_id].state is RunState.RUNNING


async def test_usage_is_stored_with_the_next_events(harness: WriterHarness) -> None:
    writer = await harness.writer()

    writer.record_usage("{}")
    writer.write(text("a"))
    await writer.drain()

    [[append]] = harness.stream.calls
    assert (append.usage, len(append.entries)) == ("{}", 1)


async def test_usage_without_events_is_stored_by_a_drain(harness: WriterHarness) -> None:
    writer = await harness.writer()

    writer.record_usage("{}")
    await writer.drain()
    await writer.drain()

    [[append]] = harness.stream.calls
    assert (append.usage, len(append.entries)) == ("{}", 0)


async def test_usage_is_discarded_after_a_refusal(harness: WriterHarness) -> None:
    writer = await harness.writer()
    await harness.stream.take_over(writer.run_id)
    writer.write(text("a"))
    with pytest.raises(Fenced):
        await writer.drain()

    writer.record_usage("{}")

    with pytest.raises(Fenced):
        await writer.drain()
    assert len(harness.stream.calls) == 1


async def test_drain_and_room_return_at_once_without_events(harness: WriterHarness) -> None:
    writer = await harness.writer()

    await writer.drain()
    await writer.wait_for_capacity()

    assert harness.stream.calls == []


# Back-pressure


async def test_room_waits_above_the_pending_limit(harness: WriterHarness) -> None:
    writer = await harness.writer()
    await block_first_append(harness, writer)
    for number in range(513):
        writer.write(text("x", part=str(number)))

    waiting = asyncio.create_task(writer.wait_for_capacity())
    await asyncio.sleep(0)
    assert not waiting.done()
    harness.stream.open.set()
    await waiting

    assert len(writer.events) == 1 + 513


async def test_room_does_not_wait_below_the_pending_limit(harness: WriterHarness) -> None:
    writer = await harness.writer()
    await block_first_append(harness, writer)
    for number in range(512):
        writer.write(text("x", part=str(number)))

    async with asyncio.timeout(10):
        await writer.wait_for_capacity()

    harness.stream.open.set()
    await writer.drain()


async def test_room_returns_when_the_writer_is_refused(harness: WriterHarness) -> None:
    writer = await harness.writer()
    await block_first_append(harness, writer)
    for number in range(1000):
        writer.write(text("x", part=str(number)))
    waiting = asyncio.create_task(writer.wait_for_capacity())
    await harness.stream.take_over(writer.run_id)
    harness.stream.open.set()

    async with asyncio.timeout(10):
        await waiting

    assert writer.callbacks == ["refused"]


# The end of the process


async def test_stopped_commit_ends_the_wait_of_its_writers() -> None:
    stream = ControlledStream()
    async with GroupCommitter(stream) as committer:
        harness = WriterHarness(stream, committer)
        waiting, idle = await harness.writer(), await harness.writer()
        await block_first_append(harness, waiting)

    for writer in (waiting, idle):
        with pytest.raises(WriterStopped):
            await writer.drain()
        with pytest.raises(WriterStopped):
            writer.write(text("a"))
        assert writer.callbacks == ["refused"]
    assert not committer.failed.is_set()


async def test_failed_commit_notifies_all_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    def ignore(pid: int, number: int) -> None: ...

    monkeypatch.setattr("shared.background_task.os.kill", ignore)
    stream = ControlledStream()
    committer = GroupCommitter(stream)
    harness = WriterHarness(stream, committer)
    writers = [await harness.writer(), await harness.writer()]
    stream.unreachable = [ValueError("a defect")]

    writers[0].write(text("a"))

    async with asyncio.timeout(5):
        await committer.failed.wait()
        for writer in writers:
            with pytest.raises(WriterStopped):
                await writer.drain()
    later = RecordingWriter(harness, writers[0].run_id, 1, 0)
    with pytest.raises(WriterStopped):
        later.write(text("b"))
    with pytest.raises(BackgroundTaskFailed):
        await committer.__aexit__()
