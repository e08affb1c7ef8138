"""`mamba worker` with several processes under one supervisor."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from shared.redis import keys
from tests.support.processes import Worker, free_port, start_all
from tests.support.sse_client import Json, SseClient, Stream, check_whole, text
from tests.support.system.commands import mamba
from tests.support.system.running_system import System, kill_process
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]


@pytest_asyncio.fixture(loop_scope="session")
async def supervisor(workerless: System) -> AsyncGenerator[Worker]:
    """Two worker processes with one slot each. The option overrides the setting."""
    env = {
        "MAMBA_WORKER__PROCESSES": "1",
        "MAMBA_WORKER__CONCURRENCY": "1",
        "MAMBA_WORKER__DRAIN_SECONDS": "0",
        "MAMBA_WORKER__METRICS_PORT": str(free_port()),
    }
    supervisor = Worker(workerless.valkey.url, workerless.upstream.base_url, env, processes=2)
    try:
        await start_all(supervisor)
        await until(lambda: two_are_listed(workerless), seconds=60)
        yield supervisor
    finally:
        await kill_process(supervisor)


async def listed(system: System) -> dict[int, str]:
    """The ids of the workers that `mamba worker list` shows, by process id."""
    result = await mamba(system, "worker", "list", "--json")
    return {worker["pid"]: worker["id"] for worker in result.json}


async def two_are_listed(system: System) -> bool:
    return len(await listed(system)) == 2


async def holder(system: System, stream: Stream) -> str:
    """The id of the worker that executes the run."""
    async with system.redis() as redis:
        return (await redis.execute_command("GET", keys.lease(stream.run_id))).decode()


async def test_killed_worker_process_is_replaced(
    workerless: System, supervisor: Worker, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, SCRIPT)
    before = await listed(workerless)

    async with sse.ask(workerless.chat, name, model=name) as stream:
        events = await stream.until("text-delta")
        killed_id = await holder(workerless, stream)
        [killed] = [pid for pid, worker_id in before.items() if worker_id == killed_id]
        os.kill(killed, signal.SIGKILL)
        await workerless.upstream.until(name, lambda requests: len(requests) == 2)
        await workerless.upstream.release(name)
        events += await stream.rest()

    async def is_replaced() -> bool:
        found = await listed(workerless)
        return len(found) == 2 and killed not in found

    check_whole(events)
    assert text(events) == "Hello"
    await until(is_replaced, seconds=60)
    assert len(before.keys() & (await listed(workerless)).keys()) == 1
    assert supervisor.output.count('"event": "process.died"') == 1
    assert supervisor.output.count('"event": "metrics.listening"') == 3
    assert "metrics.no_port" not in supervisor.output


async def test_signals_reach_all_worker_processes(
    workerless: System, supervisor: Worker, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, SCRIPT)

    async def both_reloaded() -> bool:
        return supervisor.output.count('"event": "settings.reloaded"') == 2

    async with AsyncExitStack() as stack:
        asked = [sse.ask(workerless.chat, f"{name}-{n}", model=name) for n in range(2)]
        streams = [await stack.enter_async_context(each) for each in asked]
        seen = await asyncio.gather(*(stream.until("text-delta") for stream in streams))
        holders = {await holder(workerless, stream) for stream in streams}
        supervisor.send(signal.SIGHUP)
        await until(both_reloaded)
        supervisor.send(signal.SIGTERM)
        assert await supervisor.ended() == 0
        async with workerless.start_workers() as workers:
            await workerless.upstream.until(name, lambda requests: len(requests) == 4)
            assert list(await listed(workerless)) == [workers[0].child.pid]
            await workerless.upstream.release(name)
            rest = await asyncio.gather(*(stream.rest() for stream in streams))

    assert len(holders) == 2
    assert supervisor.output.count('"event": "worker.drained"') == 2
    for stream, first, last in zip(streams, seen, rest, strict=True):
        check_whole(first + last)
        assert text(first + last) == "Hello"
        run = await workerless.run(stream.run_id)
        assert (run["state"], run["handovers"]) == ("succeeded", "1")
