"""Runs on a Redis whose memory is used up."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Literal

import pytest

from shared.redis.client import Redis
from shared.streams.event_stream import Append, read_all
from shared.streams.events import Abort, Finish, StreamEvent, TextDelta, TextStart
from tests.support.fakes.runs import new_run
from tests.support.run_chat_harness import RUN, RunChatHarness, ScriptedModels, start, text_of
from worker.jobs.running_runs import Interrupt
from worker.output.writer import RunWriter

pytestmark = pytest.mark.usefixtures("no_pauses")

_BOUND_SECONDS = 20.0


@pytest.fixture
async def memory(redis: Redis) -> AsyncGenerator["Memory"]:
    memory = Memory(redis)
    yield memory
    await memory.free()


class Memory:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def use_up(self) -> None:
        await self._redis.execute_command("CONFIG", "SET", "maxmemory", 1)

    async def free(self) -> None:
        await self._redis.execute_command("CONFIG", "SET", "maxmemory", 0)


class EndlessWait(asyncio.Event):
    """An event that is never set. `reached` is set when the model waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    async def wait(self) -> Literal[True]:
        self.reached.set()
        return await super().wait()


async def open_other_run(harness: RunChatHarness) -> RunWriter:
    run = new_run("other")
    await harness.runs.create(run)
    takeover = await harness.stream.take_over(run.id)
    return RunWriter(
        harness.committer,
        run.id,
        attempt=takeover.attempt,
        offset=takeover.offset,
        on_refused=lambda: None,
        on_stop=lambda: None,
    )


async def test_writer_has_no_capacity_while_its_events_wait(
    harness: RunChatHarness, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await open_other_run(harness)
    refused, put_back = asyncio.Event(), writer.put_back

    def record(append: Append) -> None:
        put_back(append)
        refused.set()

    monkeypatch.setattr(writer, "put_back", record)
    await memory.use_up()
    writer.write(TextStart(id="t"))
    for number in range(600):  # deltas of different parts are not merged
        writer.write(TextDelta(id=f"t{number}", delta="wait"))
    await refused.wait()

    waiting = asyncio.create_task(writer.wait_for_capacity())
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    assert not done

    await memory.free()
    async with asyncio.timeout(_BOUND_SECONDS):
        await waiting


@pytest.mark.parametrize("ending", ["finishes", "fails", "is stopped"])
async def test_run_ends_while_events_of_another_one_wait(
    harness: RunChatHarness, memory: Memory, ending: str
) -> None:
    proceed = asyncio.Event()
    last = ValueError("defect") if ending == "fails" else ""
    models = ScriptedModels(["Hel", proceed, "lo", last])
    after_the_text = EndlessWait()
    if ending == "is stopped":
        models = ScriptedModels(["Hel", proceed, "lo", after_the_text])
    run = asyncio.create_task(start(harness.runner(models=models)))
    await harness.wait_for_text("Hel")
    other = await open_other_run(harness)

    await memory.use_up()
    waiting: list[StreamEvent] = [TextStart(id="t"), TextDelta(id="t", delta="wait")]
    for event in waiting:
        other.write(event)
    proceed.set()
    if ending == "is stopped":
        await after_the_text.reached.wait()
        harness.running.cancel(RUN, Interrupt.STOP)
    async with asyncio.timeout(_BOUND_SECONDS):
        await run

    log = await harness.log()
    assert text_of(log) == "Hello"
    assert isinstance(log[-1], Abort if ending == "is stopped" else Finish) or ending == "fails"
    assert await read_all(harness.stream, "other") == []

    await memory.free()
    async with asyncio.timeout(_BOUND_SECONDS):
        await other.drain()
    assert [entry.offset for entry in await read_all(harness.stream, "other")] == [1, 2]
