"""Processes shut down during runs, as in every deployment, and no answer is lost."""

import asyncio
import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.support.ai_client.driver import VERSIONS, AiClient, Version
from tests.support.fakes.packages import install
from tests.support.processes import Api, Worker, start_all
from tests.support.sse_client import Json, SseClient, Stream, check_whole, chunks, joined, text
from tests.support.system.running_system import System, kill_process
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]

#: So long that an expired lease explains no handover, and that no API waits for it.
LONG_SECONDS = 60
PATIENT = {"MAMBA_SERVER__SHUTDOWN_GRACE_SECONDS": str(LONG_SECONDS)}


async def test_worker_without_drain_time_hands_over_immediately(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, SCRIPT)

    async with (
        workerless.start_workers(WORKER__DRAIN_SECONDS=0, WORKER__LEASE_SECONDS=LONG_SECONDS) as [
            stopping
        ],
        sse.ask(workerless.chat, name, model=name) as stream,
    ):
        events = await stream.until("text-delta")
        async with workerless.start_workers(WORKER__LEASE_SECONDS=LONG_SECONDS):
            stopping.send(signal.SIGTERM)
            await workerless.upstream.until(name, lambda got: len(got) == 2)
            assert await stopping.ended() == 0
            await workerless.upstream.release(name)
            events += await stream.rest()

    check_whole(events)
    assert text(events) == "Hello"
    run = await workerless.run(stream.run_id)
    assert (run["state"], run["attempts"], run["handovers"]) == ("succeeded", "2", "1")
    assert "failures" not in run or run["failures"] == "0"


async def test_handovers_during_a_burst_do_not_count_as_crashes(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, [[{"words": 10, "delay": 0.01}]])

    async with (
        workerless.start_workers(WORKER__DRAIN_SECONDS=0, WORKER__LEASE_SECONDS=LONG_SECONDS) as [
            stopping
        ],
        workerless.start_workers(WORKER__LEASE_SECONDS=LONG_SECONDS),
    ):
        chats = [f"{name}-{n}" for n in range(100)]
        answering = [
            asyncio.create_task(sse.answer(workerless.chat, chat, model=name)) for chat in chats
        ]
        await workerless.upstream.until(name, lambda got: len(got) > 20)
        stopping.send(signal.SIGTERM)
        answers = await asyncio.gather(*answering)
        assert await stopping.ended() == 0

    for events in answers:
        check_whole(events)
        run = await workerless.run(events[0].run_id)
        assert int(run["attempts"]) - 1 <= int(run["handovers"])


#: The package of an agent that makes the worker's writer fail once the file exists.
BREAKING = """
import os
from worker.output import writer

append = writer.ShardWriter._append

async def append_or_fail(shard, appends):
    if os.path.exists(os.environ["BREAK"]):
        raise ValueError("a defect")
    return await append(shard, appends)

writer.ShardWriter._append = append_or_fail
"""


async def test_worker_that_cannot_write_gives_up_its_runs_and_exits(
    workerless: System, sse: SseClient, name: str, tmp_path: Path
) -> None:
    await workerless.upstream.script(name, SCRIPT)
    install(tmp_path, "breaking_agent", BREAKING)
    env = {
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}",
        "BREAK": str(tmp_path / "break"),
        # Neither a drain nor an expired lease may explain the end of the worker.
        "MAMBA_WORKER__DRAIN_SECONDS": "60",
        "MAMBA_WORKER__LEASE_SECONDS": "60",
    }
    breaking = Worker(workerless.valkey.url, workerless.upstream.base_url, env)
    await start_all(breaking)

    try:
        async with sse.ask(workerless.chat, name, model=name) as stream:
            events = await stream.until("text-delta")
            async with workerless.start_workers():
                (tmp_path / "break").touch()
                await workerless.upstream.release(name)
                await workerless.upstream.until(name, lambda got: len(got) == 2)
                assert await breaking.ended(seconds=15) == 1
                await workerless.upstream.release(name)
                events += await stream.rest()
        assert "background_task.died" in breaking.output
    finally:
        await kill_process(breaking)

    check_whole(events)
    assert text(events).startswith("Hel")


async def test_draining_worker_finishes_its_runs_and_claims_no_others(
    workerless: System, sse: SseClient, name: str
) -> None:
    later = f"{name}-later"
    await workerless.upstream.script(name, SCRIPT)
    await workerless.upstream.script(later, [[{"text": ["Well"]}]])

    async with (
        workerless.start_workers() as [stopping],
        sse.ask(workerless.chat, name, model=name) as stream,
    ):
        events = await stream.until("text-delta")
        stopping.send(signal.SIGTERM)
        await until(lambda: _logged(stopping, "worker.draining"))
        async with sse.ask(workerless.chat, later, model=later) as queued:
            await _check_waits(queued)
            await workerless.upstream.release(name)
            events += await stream.rest()
            assert await stopping.ended() == 0
            await _check_waits(queued)
            async with workerless.start_workers():
                check_whole(await queued.rest())

    check_whole(events)
    assert text(events) == "Hello"
    assert (await workerless.run(stream.run_id))["attempts"] == "1"


async def _check_waits(stream: Stream) -> None:
    """Two heartbeats, and no event before them."""
    for _ in range(3):
        await stream.comment()


async def _logged(worker: Worker, event: str) -> bool:
    return event in worker.output


async def test_stopping_api_resets_streams_that_resume_elsewhere(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, SCRIPT)
    stopping = Api(system.valkey.url, PATIENT)
    await start_all(stopping)

    try:
        async with sse.ask(f"{stopping.url}/chat", name, model=name) as stream:
            seen = await stream.until("text-delta")
            stopping.send(signal.SIGTERM)
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                await stream.rest()
        assert await stopping.ended() == 0
    finally:
        await kill_process(stopping)
    async with sse.follow(system.chat, name, after=seen[-1].id) as stream:
        await system.upstream.release(name)
        events = seen + await stream.rest()

    check_whole(events)
    assert text(events) == "Hello"


async def test_stopping_api_is_not_ready_but_still_serves(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, [[{"text": ["Hello"]}]])
    stopping = Api(
        system.valkey.url, {**PATIENT, "MAMBA_SERVER__SHUTDOWN_DELAY_SECONDS": str(LONG_SECONDS)}
    )
    await start_all(stopping)

    try:
        assert await sse.status(f"{stopping.url}/health/ready") == 200
        stopping.send(signal.SIGTERM)
        await until(lambda: _is_not_ready(sse, stopping))
        answer = await sse.answer(f"{stopping.url}/chat", name, model=name)
        assert await sse.status(f"{stopping.url}/health/live") == 200
        stopping.send(signal.SIGTERM)
        assert await stopping.ended() == 0
    finally:
        await kill_process(stopping)

    check_whole(answer)


async def _is_not_ready(sse: SseClient, api: Api) -> bool:
    return await sse.status(f"{api.url}/health/ready") == 503


@pytest.mark.parametrize("version", VERSIONS)
async def test_resilient_client_survives_a_stopping_api(
    system: System, ai: AiClient, sse: SseClient, name: str, version: Version
) -> None:
    await system.upstream.script(name, SCRIPT)
    stopping = Api(system.valkey.url, PATIENT)
    await start_all(stopping)

    try:
        sending = asyncio.create_task(
            ai.send(
                ai=version,
                api=f"{stopping.url}/chat",
                chat=name,
                text="Hi",
                body={"model": name},
                resilient=True,
                resume_api=system.chat,
            )
        )
        await system.upstream.until(name, lambda got: len(got) == 1)
        stopping.send(signal.SIGTERM)
        assert await stopping.ended() == 0
    finally:
        await kill_process(stopping)
    await system.upstream.release(name)
    result = await sending

    assert (result.error, result.status, result.text) == (None, "ready", "Hello")
    canonical = chunks(await sse.replay(system.chat, name))
    assert joined(chunk for part in result.chunks for chunk in part) == joined(canonical)
