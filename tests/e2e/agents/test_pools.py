"""Worker pools with separate queues: each processes its own runs, unaffected by the others."""

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.processes import Api, Valkey, start_all, stop_all
from tests.support.sse_client import Json, SseClient, check_whole, text
from tests.support.system.running_system import System, kill_process
from tests.support.upstream.client import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELD: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]
HELLO: list[list[Json]] = [[{"text": ["Hello"]}]]
QUEUES = '{"local-*": "local"}'
POET = "agents: [{name: poet, instructions: Rhyme., queue: verse}]"


@pytest_asyncio.fixture(loop_scope="session")
async def divided(upstream: Upstream, tmp_path: Path) -> AsyncGenerator[System]:
    """A system that queues models named `local-…` separately. It has no worker yet."""
    valkey = Valkey()
    await start_all(valkey)
    file = tmp_path / "agents.yaml"
    file.write_text(POET)
    env = {"MAMBA_MODELS__QUEUES": QUEUES, "MAMBA_AGENTS__FILE": str(file)}
    api = Api(valkey.url, {**env, "MAMBA_HEALTH__INTERVAL_SECONDS": "0.1"})
    try:
        await start_all(api)
        yield System(valkey, upstream, [api])
    finally:
        await kill_process(api)
        await stop_all(valkey)


async def test_each_run_goes_to_the_pool_of_its_queue(
    divided: System, sse: SseClient, name: str
) -> None:
    local = f"local-{name}"
    await divided.upstream.script(name, HELD)
    await divided.upstream.script(local, HELD)

    async with (
        divided.start_workers(WORKER__QUEUES='["main"]') as [main_worker],
        divided.start_workers(WORKER__QUEUES='["local"]') as [local_worker],
        sse.ask(divided.chat, name, model=name) as main_stream,
        sse.ask(divided.chat, local, model=local) as local_stream,
    ):
        await main_stream.until("text-delta")
        await local_stream.until("text-delta")
        assert await divided.holder(main_stream.run_id, [main_worker, local_worker]) is main_worker
        assert (
            await divided.holder(local_stream.run_id, [main_worker, local_worker]) is local_worker
        )
        for model in (name, local):
            await divided.upstream.release(model)
        assert [text(await stream.rest()) for stream in (main_stream, local_stream)] == ["lo", "lo"]


async def test_dead_pool_does_not_block_other_queues(
    divided: System, sse: SseClient, name: str
) -> None:
    local = f"local-{name}"
    await divided.upstream.script(name, HELLO)
    await divided.upstream.script(local, HELLO)

    async with divided.start_workers(WORKER__QUEUES='["main"]'):
        async with divided.start_workers(WORKER__QUEUES='["local"]') as [local_worker]:
            await local_worker.kill()
        async with sse.ask(divided.chat, local, model=local) as waiting:
            assert (await waiting.queue_position())["data"] == {"position": 1, "waiting": 1}
            check_whole(await sse.answer(divided.chat, name, model=name))
            await until(
                lambda: _health_detail_contains(divided, "queue:local", "no worker serves it"),
                seconds=20,
            )
            assert await _health_detail_contains(divided, "queue", "0 waiting")

            async with divided.start_workers(WORKER__QUEUES='["local"]'):
                answer = await waiting.rest()

    check_whole(answer)
    assert text(answer) == "Hello"


async def test_workers_without_queue_setting_serve_model_queues(
    divided: System, sse: SseClient, name: str
) -> None:
    local = f"local-{name}"
    await divided.upstream.script(local, HELLO)

    async with divided.start_workers(MODELS__QUEUES=QUEUES):
        answer = await sse.answer(divided.chat, local, model=local)

    assert text(answer) == "Hello"


async def test_agent_queue_overrides_model_queue(
    divided: System, sse: SseClient, name: str
) -> None:
    local = f"local-{name}"
    bodies = {"poet": {"agent": "poet"}, "chat": {}}

    for chat, body in bodies.items():
        async with sse.ask(divided.chat, chat, model=local, **body) as stream:
            queue = (await divided.run(stream.run_id))["queue"]
            assert queue == {"poet": "verse", "chat": "local"}[chat]
        await sse.stop(divided.chat, chat)


async def _health_detail_contains(system: System, component: str, detail: str) -> bool:
    async with httpx.AsyncClient(timeout=30) as client:
        found = (await client.get(f"{system.apis[0].url}/health")).json()["components"]
    return detail in found[component]["detail"]
