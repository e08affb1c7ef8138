"""Waiting runs of a chat survive killed processes and a restart of Redis."""

import asyncio
from contextlib import suppress

import httpx
import pytest

from tests.support.processes import Api, start_all, stop_all
from tests.support.sse_client import Json, SseClient, check_whole, text
from tests.support.system.running_system import System
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

MODEL = "chat queue crash"
ANSWER: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo", " world"]}]]


def ask(*numbers: int) -> Json:
    messages = [
        {"id": f"u{n}", "role": "user", "parts": [{"type": "text", "text": f"Question {n}"}]}
        for n in numbers
    ]
    return {"model": MODEL, "whenBusy": "queue", "messages": messages}


async def test_waiting_runs_survive_killed_processes(workerless: System, sse: SseClient) -> None:
    system, dying = workerless, Api(workerless.valkey.url)
    await system.upstream.script(MODEL, ANSWER)
    await start_all(dying)
    try:
        async with system.start_workers(2) as workers, asyncio.timeout(200):
            async with sse.ask(system.chat, MODEL, **ask(1)) as first:
                events = await first.until("text-delta")
                waiting = await _wait_at(dying, sse)
                async with sse.ask(system.other_chat, MODEL, **ask(1, 2, 3)) as third:
                    victim = await system.holder(first.run_id, workers)
                    await victim.kill()
                    await until(lambda: _is_taken_over(system, first.run_id))
                    await system.upstream.release(MODEL)
                    answers = [events + await first.rest(), await third.rest()]
            cursor = f"0-0@{waiting}"
            answers.append(await sse.replay(system.other_chat, MODEL, after=cursor))
    finally:
        await stop_all(dying)

    for answer in answers:
        check_whole(answer)
        assert text(answer) == "Hello world"
    await _check_histories(system)


async def test_waiting_runs_survive_a_redis_restart(durable: System, sse: SseClient) -> None:
    await durable.upstream.script(MODEL, ANSWER)

    async with sse.ask(durable.chat, MODEL, **ask(1)) as first:
        events = await first.until("text-delta")
        async with (
            sse.ask(durable.chat, MODEL, **ask(1, 2)) as second,
            sse.ask(durable.chat, MODEL, **ask(1, 2, 3)) as third,
        ):
            assert (await third.queue_position())["data"]["waiting"] == 2
            await durable.valkey.kill()
            await durable.valkey.start().ready()
            await durable.upstream.release(MODEL)
            answers = [events + await first.rest(), await second.rest(), await third.rest()]

    for answer in answers:
        check_whole(answer)
        assert text(answer) == "Hello world"
    await _check_histories(durable)


async def _check_histories(system: System) -> None:
    """Check that the model received the whole earlier answers with the last two questions."""
    *_, second, last = await system.upstream.requests(MODEL)
    known = ["Question 1", "Hello world", "Question 2", "Hello world", "Question 3"]
    assert [_texts(request["body"]) for request in (second, last)] == [known[:3], known]


async def _wait_at(api: Api, sse: SseClient) -> str:
    """Send a message that waits, kill the API process, and return the run's id."""
    run_id = ""
    with suppress(httpx.RemoteProtocolError, httpx.ReadError):
        async with sse.ask(f"{api.url}/chat", MODEL, **ask(1, 2)) as stream:
            run_id = stream.run_id
            assert (await stream.queue_position())["data"]["behind"] == "chat"
            await api.kill()
            await stream.rest()
    return run_id


async def _is_taken_over(system: System, run_id: str) -> bool:
    return (await system.run(run_id))["attempts"] == "2"


def _texts(body: Json) -> list[str]:
    return [message["content"] for message in body["messages"] if message["role"] != "system"]
