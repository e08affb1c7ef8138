"""Budgets of owners, with parallel runs, a killed worker, and changed settings."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.processes import Api, ServerProcess, Valkey, Worker, start_all
from tests.support.sse_client import Json, SseClient, SseEvent, error_code, text
from tests.support.system.running_system import kill_process
from tests.support.upstream.client import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

BUDGET = 2000
PARALLEL = 30
#: An answer of 200 tokens that takes a second.
ANSWER: list[Json] = [{"text": ["word "] * 20}, {"sleep": 0.1}] * 10


def budget(tokens: int) -> str:
    return json.dumps({"default": {"tokens": {"day": tokens}}})


@asynccontextmanager
async def start_deployment(
    upstream: Upstream, home: Path, *, workers: int = 1
) -> AsyncGenerator[tuple[Valkey, Api, list[Worker]]]:
    """Start processes that read `mamba.env` in `home`."""
    valkey, env = Valkey(), {"HOME": str(home)}
    async with AsyncExitStack() as stack:
        stack.push_async_callback(kill_process, valkey)
        await start_all(valkey)
        api = Api(valkey.url, env)
        started = [Worker(valkey.url, upstream.base_url, env) for _ in range(workers)]
        for process in (api, *started):
            stack.push_async_callback(kill_process, process)
        await start_all(api, *started)
        yield valkey, api, started


async def used_today(api: Api) -> int:
    async with httpx.AsyncClient(base_url=api.url, timeout=30) as client:
        periods = (await client.get("/usage")).json()["periods"]
    return next(period["tokens"]["used"] for period in periods if period["period"] == "day")


def reported(events: Sequence[SseEvent]) -> int:
    """The tokens that a run reports at its end."""
    chunks = [event.chunk for event in events if event.data != "[DONE]"]
    ends = [chunk["messageMetadata"]["mamba"] for chunk in chunks if "messageMetadata" in chunk]
    return ends[-1].get("usage", {}).get("totalTokens", 0)


async def test_parallel_runs_and_a_killed_worker_keep_the_budget(
    upstream: Upstream, sse: SseClient, name: str, tmp_path: Path
) -> None:
    await upstream.script(name, [ANSWER])
    (tmp_path / "mamba.env").write_text(f"MAMBA_LIMITS__BUDGETS={budget(BUDGET)}\n")

    async with start_deployment(upstream, tmp_path, workers=2) as (_, api, [victim, _other]):

        async def answer(number: int) -> list[SseEvent]:
            return await sse.answer(f"{api.url}/chat", f"{name}-{number}", model=name)

        answers = [asyncio.create_task(answer(number)) for number in range(PARALLEL)]

        async def several_run() -> bool:
            return await used_today(api) >= BUDGET / 4

        await until(several_run, seconds=60)
        await victim.kill()
        runs = await asyncio.gather(*answers)
        refused = await sse.post(f"{api.url}/chat", f"{name}-late", model=name)
        used = await used_today(api)

    tokens = [reported(events) for events in runs]
    assert sum(tokens) == used
    assert BUDGET <= used <= BUDGET + max(tokens)
    succeeded = [events for events in runs if events[-2].chunk["type"] == "finish"]
    failed = [events for events in runs if events[-2].chunk["type"] == "error"]
    assert succeeded
    assert len(succeeded) + len(failed) == PARALLEL
    assert {error_code(events) for events in failed} == {"budget_exceeded"}
    assert refused.status_code == 429
    assert refused.json()["code"] == "budget_exceeded"


async def test_changed_budget_ends_and_admits_runs(
    upstream: Upstream, sse: SseClient, name: str, tmp_path: Path
) -> None:
    wait, words = {"wait": True}, {"text": ["word "] * 100}
    await upstream.script(name, [[words, wait, words, wait, words]])
    file = tmp_path / "mamba.env"
    file.write_text(f"MAMBA_LIMITS__BUDGETS={budget(100_000)}\n")

    async def reload(process: ServerProcess, times: int) -> None:
        async def probe() -> bool:
            return process.output.count("settings.reloaded") == times

        await until(probe, seconds=30)

    async with start_deployment(upstream, tmp_path) as (_, api, [worker]):
        chat = f"{api.url}/chat"
        async with sse.ask(chat, name, model=name) as stream:
            events = await stream.until("text-delta")
            file.write_text(f"MAMBA_LIMITS__BUDGETS={budget(120)}\n")
            await asyncio.gather(reload(api, 1), reload(worker, 1))
            await upstream.release(name)
            events += await stream.rest()
        refused = await sse.post(chat, f"{name}-2", model=name)
        await upstream.release(name)
        file.write_text(f"MAMBA_LIMITS__BUDGETS={budget(100_000)}\n")
        await asyncio.gather(reload(api, 2), reload(worker, 2))
        admitted = await sse.answer(chat, f"{name}-3", model=name)

    assert error_code(events) == "budget_exceeded"
    assert text(events).startswith("word " * 100)
    assert refused.json()["code"] == "budget_exceeded"
    assert admitted[-2].chunk["type"] == "finish"
