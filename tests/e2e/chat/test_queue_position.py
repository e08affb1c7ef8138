"""A chat that finds no worker waits, knows its place, and is answered when one comes."""

import asyncio

import pytest

from tests.e2e.conftest import House
from tests.support.ai_client.driver import AiClient, Version
from tests.support.sse_client import Json, Wire, check_whole, text

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO: list[list[Json]] = [[{"text": ["Hello"]}]]


def place(position: int, waiting: int) -> Json:
    return {
        "type": "data-queue",
        "data": {"position": position, "waiting": waiting},
        "transient": True,
    }


async def test_waiting_chats_hear_their_places_and_are_answered_when_a_worker_comes(
    vacant: House, wire: Wire, name: str
) -> None:
    await vacant.upstream.script(name, HELLO)

    async with wire.ask(vacant.chat, f"{name}-1", model=name) as first:
        assert await first.place() == place(1, 1)
        async with wire.ask(vacant.other_chat, f"{name}-2", model=name) as second:
            assert await second.place() == place(2, 2)
            assert await first.place() == place(1, 2)
            assert [await second.comment() for _ in range(2)][1] == ": keep-alive"
            async with vacant.staff():
                answers = await asyncio.gather(first.rest(), second.rest())

    assert second.places == []
    for number, events in enumerate(answers, 1):
        check_whole(events)
        assert text(events) == "Hello"
        assert await wire.replay(vacant.chat, f"{name}-{number}") == events


async def test_those_behind_a_chat_that_is_stopped_move_up(
    vacant: House, wire: Wire, name: str
) -> None:
    async with (
        wire.ask(vacant.chat, f"{name}-1", model=name),
        wire.ask(vacant.chat, f"{name}-2", model=name) as second,
    ):
        assert await second.place() == place(2, 2)
        await wire.stop(vacant.chat, f"{name}-1")
        assert await second.place() == place(1, 1)
    await wire.stop(vacant.chat, f"{name}-2")


@pytest.mark.parametrize("version", ["5", "6", "7"])
async def test_a_page_hears_its_place_and_keeps_none_of_it(
    vacant: House, wire: Wire, ai: AiClient, name: str, version: Version
) -> None:
    await vacant.upstream.script(name, HELLO)

    async with wire.ask(vacant.chat, f"{name}-1", model=name) as first:
        await first.comment()
        page = asyncio.create_task(
            ai.send(ai=version, api=vacant.chat, chat=name, text="Hi", body={"model": name})
        )
        while await first.place() != place(1, 2):
            pass
        async with wire.follow(vacant.chat, name) as follower:
            assert await follower.place() == place(2, 2)
            async with vacant.staff():
                answer, followed = await asyncio.gather(page, follower.rest())

    assert (answer.error, answer.text, answer.status) == (None, "Hello", "ready")
    assert answer.data[-1]["data"] == {"position": 2, "waiting": 2}
    assert answer.message is not None
    assert [part["type"] for part in answer.message["parts"]] == ["step-start", "text"]
    assert follower.places == []
    assert await wire.replay(vacant.chat, name) == followed


async def test_the_basic_wire_waits_with_heartbeats_alone(
    vacant: House, wire: Wire, name: str
) -> None:
    accept = "text/event-stream; profile=basic"
    async with (
        wire.ask(vacant.chat, name, model=name) as other,
        wire.follow(vacant.chat, name, accept=accept) as basic,
    ):
        await other.place()
        assert [await basic.comment() for _ in range(10)][1:] == [": keep-alive"] * 9
        assert basic.places == []
    await wire.stop(vacant.chat, name)


async def test_a_chat_that_is_picked_up_at_once_hears_of_no_queue(
    house: House, wire: Wire, name: str
) -> None:
    await house.upstream.script(name, [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]])

    async with wire.ask(house.chat, name, model=name) as stream:
        await stream.until("text-delta")
        assert stream.places == []
        await house.upstream.release(name)
        await stream.rest()

    assert stream.places == []
