"""Operators pause, drain, and resume queues of a running system. No accepted run is lost."""

import json
from typing import Any

import pytest

from tests.support.processes import Api, MambaProcess, start_all
from tests.support.sse_client import SseClient, check_whole, text
from tests.support.system.commands import mamba, paused_answer
from tests.support.system.running_system import System, kill_process
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def command(system: System, *arguments: str) -> str:
    result = await mamba(system, "queue", *arguments)
    assert result.code == 0, result
    return result.out.strip()


async def test_paused_intake_refuses_only_new_chats(
    workerless: System, sse: SseClient, name: str
) -> None:
    async with (
        workerless.start_workers(1, WORKER__CONCURRENCY=1),
        paused_answer(workerless, sse, name) as running,
        sse.ask(workerless.chat, f"{name}-waits", model=name) as waiting,
    ):
        assert await command(workerless, "pause", "intake") == "The intake of all queues is paused."
        refused = await sse.post(workerless.other_chat, f"{name}-new", model=name)
        in_a_live_chat = await sse.post(workerless.chat, name, model=name, whenBusy="queue")
        await workerless.upstream.release(name)
        answers = [await running.rest(), await waiting.rest()]
        result = await command(workerless, "resume", "intake")
        accepted = await sse.answer(workerless.chat, f"{name}-new", model=name)

    assert (refused.status_code, refused.json()["code"]) == (503, "intake_paused")
    assert (in_a_live_chat.status_code, in_a_live_chat.json()["code"]) == (503, "intake_paused")
    assert [events[-2].chunk["type"] for events in answers] == ["finish", "finish"]
    assert result == "The intake of all queues has resumed."
    assert text(accepted) == "Hello"


async def test_pause_outlives_the_processes(workerless: System, sse: SseClient, name: str) -> None:
    await command(workerless, "pause", "intake", "main")
    api = Api(workerless.valkey.url)
    try:
        await start_all(api)
        refused = await sse.post(f"{api.url}/chat", name)
    finally:
        await kill_process(api)
    doctor = (await mamba(workerless, "doctor", "--json")).json
    await command(workerless, "resume", "intake", "main")

    assert refused.json()["code"] == "intake_paused"
    [pause] = [check for check in doctor if check["part"] == "pause"]
    assert pause["status"] == "warning"
    assert "the intake of the queue main" in pause["finding"]


async def test_runs_wait_while_processing_is_paused(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, [[{"text": ["Hello"]}]])
    await command(workerless, "pause", "processing", "main")
    async with (
        workerless.start_workers(2),
        sse.ask(workerless.chat, name, model=name) as stream,
    ):
        position = await stream.queue_position()
        listed = json.loads(await command(workerless, "--by", "owner", "--json"))
        await command(workerless, "resume", "processing", "main")
        events = await stream.rest()

    assert position["data"] == {"position": 1, "waiting": 1, "paused": True}
    [owner] = listed["owners"]
    assert (owner["waiting"], owner["running"]) == (1, 0)
    check_whole(events)
    assert text(events) == "Hello"


async def test_started_run_of_a_paused_queue_continues_elsewhere(
    workerless: System, sse: SseClient, name: str
) -> None:
    async with (
        workerless.start_workers(2) as workers,
        paused_answer(workerless, sse, name) as stream,
    ):
        await command(workerless, "pause", "processing")
        holder = await workerless.holder(stream.run_id, workers)
        await holder.kill()
        await workerless.upstream.release(name)
        events = await stream.rest()
    await command(workerless, "resume", "processing")

    assert events[-2].chunk["type"] == "finish"
    assert (await workerless.run(stream.run_id))["attempts"] == "2"


async def test_drain_returns_after_the_last_run(
    workerless: System, sse: SseClient, name: str
) -> None:
    async with (
        workerless.start_workers(1, WORKER__CONCURRENCY=1),
        paused_answer(workerless, sse, name) as running,
        sse.ask(workerless.chat, f"{name}-waits", model=name) as waiting,
    ):
        env = {"MAMBA_REDIS__URL": workerless.valkey.url}
        draining = MambaProcess("queue", "drain", env=env).start()

        async def progress_is_shown() -> Any:
            return "1 waiting, 1 running" in draining.output

        await until(progress_is_shown, seconds=30)
        await workerless.upstream.release(name)
        for stream in (running, waiting):
            assert (await stream.rest())[-2].chunk["type"] == "finish"
        assert await draining.ended(seconds=30) == 0
        assert draining.output.endswith("No runs are left.\n")
        await draining.stop()
    await command(workerless, "resume", "intake")
