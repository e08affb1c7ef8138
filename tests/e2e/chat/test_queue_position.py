"""Queue positions of chats that wait for a worker."""

import asyncio

import pytest

from tests.support.ai_client.driver import VERSIONS, AiClient, Version
from tests.support.sse_client import Json, SseClient, check_whole, text
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO: list[list[Json]] = [[{"text": ["Hello"]}]]


def position_event(position: int, waiting: int) -> Json:
    return {
        "type": "data-queue",
        "data": {"position": position, "waiting": waiting},
        "transient": True,
    }


async def test_queued_chats_receive_positions_until_a_worker_starts(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, HELLO)

    async with sse.ask(workerless.chat, f"{name}-1", model=name) as first:
        assert await first.queue_position() == position_event(1, 1)
        async with sse.ask(workerless.other_chat, f"{name}-2", model=name) as second:
            assert await second.queue_position() == position_event(2, 2)
            assert await first.queue_position() == position_event(1, 2)
            assert [await second.comment() for _ in range(2)][1] == ": keep-alive"
            async with workerless.start_workers():
                answers = await asyncio.gather(first.rest(), second.rest())

    assert second.queue_positions == []
    for number, events in enumerate(answers, 1):
        check_whole(events)
        assert text(events) == "Hello"
        assert await sse.replay(workerless.chat, f"{name}-{number}") == events


async def test_stop_of_a_queued_chat_moves_up_the_chats_behind_it(
    workerless: System, sse: SseClient, name: str
) -> None:
    async with (
        sse.ask(workerless.chat, f"{name}-1", model=name),
        sse.ask(workerless.chat, f"{name}-2", model=name) as second,
    ):
        assert await second.queue_position() == position_event(2, 2)
        await sse.stop(workerless.chat, f"{name}-1")
        assert await second.queue_position() == position_event(1, 1)
    await sse.stop(workerless.chat, f"{name}-2")


@pytest.mark.parametrize("version", VERSIONS)
async def test_queue_position_is_not_kept_in_the_message(
    workerless: System, sse: SseClient, ai: AiClient, name: str, version: Version
) -> None:
    await workerless.upstream.script(name, HELLO)

    async with sse.ask(workerless.chat, f"{name}-1", model=name) as first:
        await first.comment()
        page = asyncio.create_task(
            ai.send(ai=version, api=workerless.chat, chat=name, text="Hi", body={"model": name})
        )
        while await first.queue_position() != position_event(1, 2):
            pass
        async with sse.follow(workerless.chat, name) as follower:
            assert await follower.queue_position() == position_event(2, 2)
            async with workerless.start_workers():
                answer, followed = await asyncio.gather(page, follower.rest())

    assert (answer.error, answer.text, answer.status) == (None, "Hello", "ready")
    assert answer.data[-1]["data"] == {"position": 2, "waiting": 2}
    assert answer.message is not None
    assert [part["type"] for part in answer.message["parts"]] == ["step-start", "text"]
    assert follower.queue_positions == []
    assert await sse.replay(workerless.chat, name) == followed


async def test_basic_format_sends_only_heartbeats_while_queued(
    workerless: System, sse: SseClient, name: str
) -> None:
    accept = "text/event-stream; profile=basic"
    async with (
        sse.ask(workerless.chat, name, model=name) as other,
        sse.follow(workerless.chat, name, accept=accept) as basic,
    ):
        await other.queue_position()
        assert [await basic.comment() for _ in range(10)][1:] == [": keep-alive"] * 9
        assert basic.queue_positions == []
    await sse.stop(workerless.chat, name)


async def test_chat_started_at_once_receives_no_queue_position(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]])

    async with sse.ask(system.chat, name, model=name) as stream:
        await stream.until("text-delta")
        run = await system.run(stream.run_id)
        await system.upstream.release(name)
        await stream.rest()

    started_at_once = int(run["started_at"]) - int(run["admitted_at"]) < 1000
    assert stream.queue_positions == [] or not started_at_once
