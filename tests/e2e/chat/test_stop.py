"""A stop is heard wherever the run stands, and the chat can be gone on with at once."""

import asyncio
from functools import partial

import pytest

from tests.e2e.conftest import House
from tests.support.ai_client.driver import AiClient, Version
from tests.support.sse_client import DONE, Event, Json, Wire, check_whole, text, types
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

VERSIONS: tuple[Version, ...] = ("5", "6", "7")
CLOSED = ["text-end", "finish-step", "abort"]

#: It would go on for ever.
ENDLESS: list[list[Json]] = [[{"text": ["Hello"]}, {"wait": True}, {"text": ["!"]}]]


@pytest.fixture
async def model(house: House, name: str) -> str:
    await house.upstream.script(name, ENDLESS)
    return name


async def test_a_running_answer_ends_in_abort_and_the_model_is_hung_up_on(
    house: House, wire: Wire, model: str
) -> None:
    async with wire.ask(house.chat, model, model=model) as stream:
        events = await stream.until("text-delta")
        stopped = await wire.stop(house.other_chat, model)
        events += await stream.rest()

    assert stopped.json() == {"run_id": stream.run_id, "state": "cancelled"}
    _check_aborted(events)
    assert text(events) == "Hello"
    assert types(events)[-3:] == CLOSED
    await house.upstream.until(model, lambda got: got[0]["outcome"] == "client-closed")
    assert await wire.replay(house.chat, model) == events
    assert (await house.run(stream.run_id))["state"] == "cancelled"


async def test_stopping_twice_is_stopping_once(house: House, wire: Wire, model: str) -> None:
    async with wire.ask(house.chat, model, model=model) as stream:
        events = await stream.until("text-delta")
        stops = [wire.stop(url, model) for url in (house.chat, house.other_chat) * 5]
        answers = await asyncio.gather(*stops)
        events += await stream.rest()

    assert [answer.json()["state"] for answer in answers] == ["cancelled"] * 10
    _check_aborted(events)
    assert (await wire.stop(house.chat, model)).json()["state"] == "cancelled"
    assert await wire.replay(house.chat, model) == events


async def test_an_answer_that_has_ended_stays_as_it_is(house: House, wire: Wire, name: str) -> None:
    await house.upstream.script(name, [[{"text": ["Hello"]}]])
    events = await wire.answer(house.chat, name, model=name)

    stopped = await wire.stop(house.chat, name)

    assert stopped.json()["state"] == "succeeded"
    assert await wire.replay(house.chat, name) == events


async def test_an_unknown_chat_cannot_be_stopped(house: House, wire: Wire, name: str) -> None:
    refusal = await wire.stop(house.chat, name)

    assert refusal.status_code == 404
    assert refusal.json()["code"] == "not_found"


async def test_a_stop_at_any_moment_is_the_end(house: House, wire: Wire, model: str) -> None:
    async def ask_and_stop(number: int) -> None:
        chat = f"{model}-{number}"
        async with wire.ask(house.chat, chat, model=model) as stream:
            await stream.read(number % 4)
            stopped = await wire.stop(house.other_chat, chat)
        assert stopped.json()["state"] == "cancelled"
        _check_aborted(await wire.replay(house.chat, chat))

    await asyncio.gather(*map(ask_and_stop, range(60)))


async def test_the_chat_goes_on_right_after_a_stop(house: House, wire: Wire, model: str) -> None:
    async with wire.ask(house.chat, model, model=model) as stream:
        await stream.until("text-delta")
        await wire.stop(house.chat, model)
    await house.upstream.script(model, [[{"text": ["Well"]}]])

    answer = await wire.answer(house.other_chat, model, model=model)

    check_whole(answer)
    assert text(answer) == "Well"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_user_stops_and_asks_again(
    house: House, ai: AiClient, model: str, version: Version
) -> None:
    ask = partial(ai.send, ai=version, api=house.chat, chat=model, body={"model": model})
    stopped = await ask(text="Hi", stop_after=4)
    await house.upstream.script(model, [[{"text": ["Well"]}]])
    again = await ask(text="Go on", messages=stopped.messages)

    assert stopped.text == "Hello"
    assert (stopped.error, stopped.status) == (None, "ready")
    assert (again.error, again.text) == (None, "Well")
    roles = [message["role"] for message in again.messages]
    assert roles == ["user", "assistant", "user", "assistant"]


async def test_a_second_question_is_refused_while_the_first_is_answered(
    house: House, wire: Wire, model: str
) -> None:
    async with wire.ask(house.chat, model, model=model) as stream:
        events = await stream.until("text-delta")
        refusals = [await wire.post(url, model) for url in (house.chat, house.other_chat)]
        await house.upstream.release(model)
        events += await stream.rest()

    assert [(r.status_code, r.json()["code"]) for r in refusals] == [(409, "run_in_progress")] * 2
    check_whole(events)
    assert await wire.replay(house.chat, model) == events


async def test_of_many_questions_at_once_one_is_answered(
    house: House, wire: Wire, model: str
) -> None:
    await house.upstream.release(model)

    posts = [wire.post(url, model, model=model) for url in (house.chat, house.other_chat) * 5]
    answers = await asyncio.gather(*posts)

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    assert len(await house.upstream.requests(model)) == 1


async def test_a_superseding_question_replaces_the_answer(
    house: House, wire: Wire, model: str
) -> None:
    async with wire.ask(house.chat, model, model=model) as stream:
        events = await stream.until("text-delta")
        await house.upstream.script(model, [[{"text": ["Well"]}]])
        answer = await wire.answer(house.other_chat, model, model=model, supersede=True)
        events += await stream.rest()

    _check_aborted(events)
    check_whole(answer)
    assert text(answer) == "Well"
    assert await wire.replay(house.chat, model) == answer
    rest = await wire.replay(house.chat, model, after=events[2].id)
    assert rest == events[3:]


async def test_a_queued_answer_is_stopped_with_no_worker_there(
    vacant: House, wire: Wire, name: str
) -> None:
    async with wire.ask(vacant.chat, name, model=name) as stream:
        stopped = await wire.stop(vacant.other_chat, name)
        events = await stream.rest()

    assert stopped.json()["state"] == "cancelled"
    check_whole(events, ending="abort")
    assert types(events) == ["start", "abort"]
    await _check_nothing_is_queued(vacant)


async def test_a_stopped_answer_never_comes_back(vacant: House, wire: Wire, name: str) -> None:
    await vacant.upstream.script(name, ENDLESS)

    async with wire.ask(vacant.chat, name, model=name) as stream:
        async with vacant.staff() as [worker]:
            events = await stream.until("text-delta")
            await worker.kill()
        stopped = await wire.stop(vacant.other_chat, name)
        events += await stream.rest()
    async with vacant.staff():
        later = f"{name}-later"
        await vacant.upstream.script(later, [[{"text": ["Well"]}]])
        check_whole(await wire.answer(vacant.chat, later, model=later))
        await _check_nothing_is_queued(vacant)

    assert stopped.json()["state"] == "cancelled"
    _check_aborted(events)
    assert types(events)[-3:] == CLOSED
    assert await wire.replay(vacant.chat, name) == events
    assert len(await vacant.upstream.requests(name)) == 1


def _check_aborted(events: list[Event]) -> None:
    check_whole(events, ending="abort")
    assert events[-1].data == DONE


async def _check_nothing_is_queued(house: House) -> None:
    async with house.redis() as redis:

        async def nothing_is_queued() -> bool:
            jobs = await redis.execute_command("KEYS", "arq:job:*")
            return not jobs and not await redis.execute_command("ZCARD", "mamba:queue")

        await until(nothing_is_queued)
