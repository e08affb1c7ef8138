"""Stops in every state of a run, and the next message in the same chat."""

import asyncio
from functools import partial

import pytest

from tests.support.ai_client.driver import VERSIONS, AiClient, Version
from tests.support.sse_client import DONE, Json, SseClient, SseEvent, check_whole, text, types
from tests.support.system.running_system import System
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLOSED = ["text-end", "finish-step", "abort"]

#: Never ends without a stop or a release.
ENDLESS: list[list[Json]] = [[{"text": ["Hello"]}, {"wait": True}, {"text": ["!"]}]]


@pytest.fixture
async def model(system: System, name: str) -> str:
    await system.upstream.script(name, ENDLESS)
    return name


async def test_stop_aborts_the_run_and_closes_the_model_connection(
    system: System, sse: SseClient, model: str
) -> None:
    async with sse.ask(system.chat, model, model=model) as stream:
        events = await stream.until("text-delta")
        stopped = await sse.stop(system.other_chat, model)
        events += await stream.rest()

    assert stopped.json() == {"run_id": stream.run_id, "state": "cancelled"}
    _check_aborted(events)
    assert text(events) == "Hello"
    assert types(events)[-3:] == CLOSED
    await system.upstream.until(model, lambda got: got[0]["outcome"] == "client-closed")
    assert await sse.replay(system.chat, model) == events
    assert (await system.run(stream.run_id))["state"] == "cancelled"


async def test_repeated_stops_have_the_effect_of_one(
    system: System, sse: SseClient, model: str
) -> None:
    async with sse.ask(system.chat, model, model=model) as stream:
        events = await stream.until("text-delta")
        stops = [sse.stop(url, model) for url in (system.chat, system.other_chat) * 5]
        answers = await asyncio.gather(*stops)
        events += await stream.rest()

    assert [answer.json()["state"] for answer in answers] == ["cancelled"] * 10
    _check_aborted(events)
    assert (await sse.stop(system.chat, model)).json()["state"] == "cancelled"
    assert await sse.replay(system.chat, model) == events


async def test_stop_leaves_an_ended_run_unchanged(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, [[{"text": ["Hello"]}]])
    events = await sse.answer(system.chat, name, model=name)

    stopped = await sse.stop(system.chat, name)

    assert stopped.json()["state"] == "succeeded"
    assert await sse.replay(system.chat, name) == events


async def test_stop_of_an_unknown_chat_returns_404(
    system: System, sse: SseClient, name: str
) -> None:
    refusal = await sse.stop(system.chat, name)

    assert refusal.status_code == 404
    assert refusal.json()["code"] == "not_found"


async def test_stop_at_any_time_aborts_the_run(system: System, sse: SseClient, model: str) -> None:
    async def ask_and_stop(number: int) -> None:
        chat = f"{model}-{number}"
        async with sse.ask(system.chat, chat, model=model) as stream:
            await stream.read(number % 4)
            stopped = await sse.stop(system.other_chat, chat)
        assert stopped.json()["state"] == "cancelled"
        _check_aborted(await sse.replay(system.chat, chat))

    await asyncio.gather(*map(ask_and_stop, range(60)))


async def test_message_right_after_a_stop_is_answered(
    system: System, sse: SseClient, model: str
) -> None:
    async with sse.ask(system.chat, model, model=model) as stream:
        await stream.until("text-delta")
        await sse.stop(system.chat, model)
    await system.upstream.script(model, [[{"text": ["Well"]}]])

    answer = await sse.answer(system.other_chat, model, model=model)

    check_whole(answer)
    assert text(answer) == "Well"


@pytest.mark.parametrize("version", VERSIONS)
async def test_sdk_client_can_stop_and_send_again(
    system: System, ai: AiClient, model: str, version: Version
) -> None:
    ask = partial(ai.send, ai=version, api=system.chat, chat=model, body={"model": model})
    stopped = await ask(text="Hi", stop_after=4)
    await system.upstream.script(model, [[{"text": ["Well"]}]])
    again = await ask(text="Go on", messages=stopped.messages)

    assert stopped.text == "Hello"
    assert (stopped.error, stopped.status) == (None, "ready")
    assert (again.error, again.text) == (None, "Well")
    roles = [message["role"] for message in again.messages]
    assert roles == ["user", "assistant", "user", "assistant"]


async def test_second_message_during_a_run_returns_409(
    system: System, sse: SseClient, model: str
) -> None:
    async with sse.ask(system.chat, model, model=model) as stream:
        events = await stream.until("text-delta")
        refusals = [await sse.post(url, model) for url in (system.chat, system.other_chat)]
        await system.upstream.release(model)
        events += await stream.rest()

    assert [(r.status_code, r.json()["code"]) for r in refusals] == [(409, "run_in_progress")] * 2
    check_whole(events)
    assert await sse.replay(system.chat, model) == events


async def test_only_one_of_concurrent_messages_is_accepted(
    system: System, sse: SseClient, model: str
) -> None:
    urls = (system.chat, system.other_chat) * 5
    posts = [asyncio.create_task(sse.post(url, model, model=model)) for url in urls]

    async def all_but_one_are_refused() -> bool:
        return sum(post.done() for post in posts) >= len(posts) - 1

    await until(all_but_one_are_refused)
    await system.upstream.release(model)
    answers = await asyncio.gather(*posts)

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    assert len(await system.upstream.requests(model)) == 1


async def test_superseding_message_cancels_the_live_run(
    system: System, sse: SseClient, model: str
) -> None:
    async with sse.ask(system.chat, model, model=model) as stream:
        events = await stream.until("text-delta")
        await system.upstream.script(model, [[{"text": ["Well"]}]])
        answer = await sse.answer(system.other_chat, model, model=model, supersede=True)
        events += await stream.rest()

    _check_aborted(events)
    check_whole(answer)
    assert text(answer) == "Well"
    assert await sse.replay(system.chat, model) == answer
    rest = await sse.replay(system.chat, model, after=events[2].id)
    assert rest == events[3:]


async def test_stop_cancels_a_queued_run_without_workers(
    workerless: System, sse: SseClient, name: str
) -> None:
    async with sse.ask(workerless.chat, name, model=name) as stream:
        stopped = await sse.stop(workerless.other_chat, name)
        events = await stream.rest()

    assert stopped.json()["state"] == "cancelled"
    check_whole(events, ending="abort")
    assert types(events) == ["start", "abort"]
    await _check_nothing_is_queued(workerless)


async def test_stopped_run_is_not_resumed_by_a_new_worker(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, ENDLESS)

    async with sse.ask(workerless.chat, name, model=name) as stream:
        async with workerless.start_workers() as [worker]:
            events = await stream.until("text-delta")
            await worker.kill()
        stopped = await sse.stop(workerless.other_chat, name)
        events += await stream.rest()
    async with workerless.start_workers():
        later = f"{name}-later"
        await workerless.upstream.script(later, [[{"text": ["Well"]}]])
        check_whole(await sse.answer(workerless.chat, later, model=later))
        await _check_nothing_is_queued(workerless)

    assert stopped.json()["state"] == "cancelled"
    _check_aborted(events)
    assert types(events)[-3:] == CLOSED
    assert await sse.replay(workerless.chat, name) == events
    assert len(await workerless.upstream.requests(name)) == 1


def _check_aborted(events: list[SseEvent]) -> None:
    check_whole(events, ending="abort")
    assert events[-1].data == DONE


async def _check_nothing_is_queued(system: System) -> None:
    async with system.redis() as redis:

        async def nothing_is_queued() -> bool:
            jobs = await redis.execute_command("KEYS", "arq:job:*")
            return not jobs and not await redis.execute_command("ZCARD", "mamba:queue")

        await until(nothing_is_queued)
