import asyncio
from collections.abc import AsyncGenerator

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.errors import Fenced, StreamClosed
from shared.streams.event_stream import Append, Closure
from shared.streams.events import (
    DONE,
    Finish,
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
from tests.support.fakes.gated_stream import GatedStream
from tests.support.fakes.runs import new_run
from worker.output.writer import GroupCommit, RunWriter

SUCCEEDED = Closure(RunState.SUCCEEDED)
FINISH = Finish(finish_reason="stop")


class House:
    def __init__(self, stream: GatedStream, commit: GroupCommit) -> None:
        self.stream = stream
        self.commit = commit

    async def writer(self) -> "Pen":
        run = new_run()
        await self.stream.create(run)
        takeover = await self.stream.take_over(run.id)
        return Pen(self, run.id, takeover.attempt, takeover.offset)


class Pen(RunWriter):
    """A writer that knows its run, and counts what it is told."""

    def __init__(self, house: House, run_id: str, attempt: int, offset: int) -> None:
        super().__init__(
            house.commit,
            run_id,
            attempt=attempt,
            offset=offset,
            on_refused=lambda: self.told.append("refused"),
            on_cancel=lambda: self.told.append("cancel"),
        )
        self.run_id = run_id
        self.told: list[str] = []
        self._log = house.stream.logs[run_id]

    @property
    def events(self) -> list[StreamEvent]:
        """What the log holds."""
        return [decode(entry.data) for entry in self._log if not entry.ends]


@pytest.fixture
async def house() -> AsyncGenerator[House]:
    stream = GatedStream()
    async with GroupCommit(stream) as commit:
        yield House(stream, commit)


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.output.writer._RETRY_SECONDS", (0.001,))


def text(delta: str, part: str = "1") -> TextDelta:
    return TextDelta(id=part, delta=delta)


async def in_flight(house: House, writer: RunWriter) -> None:
    """A first event is on its way, and stays there."""
    house.stream.gate.clear()
    writer.write(Start(message_id="m"))
    await house.stream.called(1)


# Coalescing


async def test_the_first_event_leaves_at_once(house: House) -> None:
    writer = await house.writer()
    house.stream.gate.clear()

    writer.write(text("a"))
    await asyncio.sleep(0)

    assert house.stream.calls == [(Append(writer.run_id, 1, 1, [text("a").encode()]),)]


async def test_idle_each_token_is_an_entry(house: House) -> None:
    writer = await house.writer()

    for delta in "abc":
        writer.write(text(delta))
        await writer.drain()

    assert writer.events == [text("a"), text("b"), text("c")]
    assert len(house.stream.calls) == 3


async def test_what_comes_while_a_pipeline_is_in_flight_is_joined(house: House) -> None:
    writer = await house.writer()
    await in_flight(house, writer)

    for delta in "abc":
        writer.write(text(delta))
        await asyncio.sleep(0)
    house.stream.gate.set()
    await writer.drain()

    assert writer.events == [Start(message_id="m"), text("abc")]
    assert len(house.stream.calls) == 2


async def test_one_pipeline_carries_all_runs(house: House) -> None:
    first, second, third = [await house.writer() for _ in range(3)]
    await in_flight(house, first)

    for delta in "ab":
        for writer in (third, second, first):
            writer.write(text(delta))
    house.stream.gate.set()
    await asyncio.gather(first.drain(), second.drain(), third.drain())

    assert len(house.stream.calls) == 2
    assert len(house.stream.calls[1]) == 3
    assert second.events == third.events == [text("ab")]
    assert first.events == [Start(message_id="m"), text("ab")]


async def test_only_neighbours_are_joined_and_the_order_is_kept(house: House) -> None:
    writer = await house.writer()
    await in_flight(house, writer)
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
    house.stream.gate.set()
    await writer.drain()

    assert writer.events == [Start(message_id="m"), *written]


@pytest.mark.parametrize("size", [1, 100, 1000])
async def test_a_joined_entry_stays_small(house: House, size: int) -> None:
    writer = await house.writer()
    await in_flight(house, writer)

    for _ in range(20_000 // size):
        writer.write(text("x" * size))
    house.stream.gate.set()
    await writer.drain()

    deltas = [event.delta for event in writer.events if isinstance(event, TextDelta)]
    assert sum(map(len, deltas)) == 20_000
    assert max(map(len, deltas)) < 4096 + size
    assert min(map(len, deltas[:-1])) >= 4096


async def test_the_input_of_a_call_is_joined_up_to_the_cap_too(house: House) -> None:
    writer = await house.writer()
    await in_flight(house, writer)

    for _ in range(100):
        writer.write(ToolInputDelta(tool_call_id="c", input_text_delta="x" * 100))
    house.stream.gate.set()
    await writer.drain()

    assert len(writer.events) == 1 + 3


async def test_an_entry_on_its_way_is_not_changed_by_what_comes_later(house: House) -> None:
    writer = await house.writer()
    house.stream.gate.clear()
    writer.write(text("a"))
    await house.stream.called(1)

    writer.write(text("b"))
    house.stream.gate.set()
    await writer.drain()

    assert writer.events == [text("a"), text("b")]


async def test_a_later_attempt_goes_on_at_its_offset(house: House) -> None:
    writer = await house.writer()
    writer.write(text("a"))
    await writer.drain()
    takeover = await house.stream.take_over(writer.run_id)

    later = Pen(house, writer.run_id, takeover.attempt, takeover.offset)
    later.write(text("b"))
    await later.drain()

    assert [entry[:2] for entry in house.stream.logs[writer.run_id]] == [(1, 1), (2, 2)]


# Being refused and stopped


async def test_a_refusal_is_raised_at_the_next_write_and_told_once(house: House) -> None:
    writer = await house.writer()
    await house.stream.take_over(writer.run_id)

    writer.write(text("a"))
    with pytest.raises(Fenced):
        await writer.drain()

    for _ in range(3):
        with pytest.raises(Fenced):
            writer.write(text("b"))
    assert writer.told == ["refused"]
    assert writer.events == []


async def test_a_refusal_is_told_once_even_with_more_on_its_way(house: House) -> None:
    writer, other = await house.writer(), await house.writer()
    await in_flight(house, writer)
    writer.write(text("a"))
    await house.stream.take_over(writer.run_id)
    house.stream.gate.set()
    with pytest.raises(Fenced):
        await writer.drain()

    other.write(text("b"))
    await other.drain()

    assert writer.told == ["refused"]
    assert writer.events == []


async def test_a_refused_run_does_not_hold_up_the_others(house: House) -> None:
    fenced, other = await house.writer(), await house.writer()
    await house.stream.take_over(fenced.run_id)

    fenced.write(text("a"))
    other.write(text("b"))
    await other.drain()

    assert other.events == [text("b")]
    assert (fenced.told, other.told) == (["refused"], [])


async def test_an_event_that_cannot_be_written_is_its_own_runs_trouble(house: House) -> None:
    broken, other = await house.writer(), await house.writer()
    await in_flight(house, other)
    broken.write(ToolOutputAvailable(tool_call_id="c", output=object()))
    other.write(text("a"))
    house.stream.gate.set()

    await other.drain()
    with pytest.raises(ValueError, match="serialize"):
        await broken.drain()

    other.write(text("b"))
    await other.drain()
    assert other.events == [Start(message_id="m"), text("a"), text("b")]
    assert (broken.told, broken.events) == (["refused"], [])


async def test_a_requested_stop_is_told(house: House) -> None:
    writer = await house.writer()
    writer.write(text("a"))
    await writer.drain()
    assert writer.told == []
    await house.stream.request_cancel(writer.run_id)

    writer.write(text("b"))
    await writer.drain()

    assert writer.told == ["cancel"]
    assert writer.events == [text("a"), text("b")]


# Redis is away


@pytest.mark.usefixtures("impatience")
@pytest.mark.parametrize("error", [RedisConnectionError(), RedisTimeoutError(), OSError()])
async def test_the_same_append_is_tried_until_redis_has_it(house: House, error: Exception) -> None:
    writer = await house.writer()
    house.stream.unreachable = [error] * 5

    writer.write(text("a"))
    await writer.drain()

    assert writer.events == [text("a")]
    assert len(house.stream.calls) == 6
    assert len({call[0].entries[0] for call in house.stream.calls}) == 1
    assert all(call == house.stream.calls[0] for call in house.stream.calls)


@pytest.mark.usefixtures("impatience")
async def test_a_lost_reply_doubles_nothing(house: House) -> None:
    writer = await house.writer()
    house.stream.lost_replies = [RedisConnectionError(), RedisTimeoutError()]

    writer.write(text("a"))
    await house.stream.called(1)
    writer.write(text("b"))
    await writer.close([FINISH], SUCCEEDED)

    assert writer.events == [text("a"), text("b"), FINISH]
    assert writer.told == []


@pytest.mark.usefixtures("impatience")
async def test_a_stop_is_told_though_the_first_reply_was_lost(house: House) -> None:
    writer = await house.writer()
    await house.stream.request_cancel(writer.run_id)
    house.stream.lost_replies = [RedisConnectionError()]

    writer.write(text("a"))
    await writer.drain()

    assert writer.told == ["cancel"]


@pytest.mark.usefixtures("impatience")
async def test_what_comes_while_redis_is_away_waits_and_is_joined(house: House) -> None:
    writer = await house.writer()
    house.stream.unreachable = [RedisConnectionError()] * 3
    writer.write(text("a"))
    await house.stream.called(2)

    writer.write(text("b"))
    writer.write(text("c"))
    await writer.drain()

    assert writer.events == [text("a"), text("bc")]


# Ending


async def test_closing_writes_the_end_once_and_last(house: House) -> None:
    writer = await house.writer()
    writer.write(text("a"))

    await writer.close([TextEnd(id="1"), FINISH], Closure(RunState.FAILED, "code"))

    assert writer.events == [text("a"), TextEnd(id="1"), FINISH]
    assert [entry.data == DONE for entry in house.stream.logs[writer.run_id]] == [
        False,
        False,
        False,
        True,
    ]
    run = house.stream.runs[writer.run_id]
    assert (run.state, run.error) == (RunState.FAILED, "code")


async def test_closing_waits_until_the_end_is_written(house: House) -> None:
    writer = await house.writer()
    await in_flight(house, writer)

    closing = asyncio.create_task(writer.close([FINISH], SUCCEEDED))
    await asyncio.sleep(0)
    assert not closing.done()
    house.stream.gate.set()
    await closing

    assert house.stream.runs[writer.run_id].state is RunState.SUCCEEDED
    assert len(house.stream.calls) == 2


async def test_a_log_that_was_closed_by_another_refuses_the_end(house: House) -> None:
    writer = await house.writer()
    await house.stream.append(Append(writer.run_id, 1, 1, [b"{}", DONE], SUCCEEDED))

    writer.write(text("a"))
    writer.write(text("b", part="2"))
    writer.write(text("c", part="3"))
    with pytest.raises(StreamClosed):
        await writer.close([FINISH], Closure(RunState.FAILED, "late"))

    assert writer.told == ["refused"]
    assert house.stream.runs[writer.run_id].state is RunState.SUCCEEDED


async def test_a_fenced_writer_cannot_close(house: House) -> None:
    writer = await house.writer()
    await house.stream.take_over(writer.run_id)

    with pytest.raises(Fenced):
        await writer.close([FINISH], SUCCEEDED)

    assert house.stream.runs[writer.run_id].state is RunState.RUNNING


async def test_nothing_to_write_is_written_at_once(house: House) -> None:
    writer = await house.writer()

    await writer.drain()
    await writer.room()

    assert house.stream.calls == []


# Back-pressure


async def test_a_writer_that_is_far_ahead_waits_for_redis(house: House) -> None:
    writer = await house.writer()
    await in_flight(house, writer)
    for number in range(513):
        writer.write(text("x", part=str(number)))

    waiting = asyncio.create_task(writer.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    house.stream.gate.set()
    await waiting

    assert len(writer.events) == 1 + 513


async def test_a_writer_that_is_a_little_ahead_does_not_wait(house: House) -> None:
    writer = await house.writer()
    await in_flight(house, writer)
    for number in range(512):
        writer.write(text("x", part=str(number)))

    async with asyncio.timeout(1):
        await writer.room()

    house.stream.gate.set()
    await writer.drain()


async def test_a_refused_writer_does_not_wait_for_ever(house: House) -> None:
    writer = await house.writer()
    await in_flight(house, writer)
    for number in range(1000):
        writer.write(text("x", part=str(number)))
    waiting = asyncio.create_task(writer.room())
    await house.stream.take_over(writer.run_id)
    house.stream.gate.set()

    async with asyncio.timeout(1):
        await waiting

    assert writer.told == ["refused"]
