"""Owners share the workers, whatever the number and length of their runs."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
import pytest_asyncio

from shared.queue.pauses import Pauses
from shared.redis import keys
from shared.runs.run import Run
from shared.runs.store import RunStore
from tests.support.processes import Api, Valkey, Worker, start_all, stop_all
from tests.support.system.jains_index import jains_index
from tests.support.upstream.client import Upstream
from tests.support.wait import until

#: In all workers.
_SLOTS = 4
#: How long a run waits for a worker that has its agent. No other run may wait as long.
_AGENT_WAIT_SECONDS = 5
_OTHERS = [f"other-{number}" for number in range(20)]
_OWNERS = ["many", "few", *_OTHERS]


def _key(owner: str) -> str:
    return f"key-of-{owner}-0123456789"


class SeveralOwners:
    """An API with several owners, and two workers with four slots in all."""

    def __init__(self, client: httpx.AsyncClient, valkey: Valkey) -> None:
        self._client = client
        self._valkey = valkey

    async def ask(self, owner: str, model: str, **fields: str) -> str:
        """Start a run, disconnect, and return its id."""
        body = {
            **fields,
            "model": model,
            "messages": [{"role": "user", "parts": [{"type": "text", "text": "Go"}]}],
        }
        headers = {"x-api-key": _key(owner)}
        async with self._client.stream("POST", "/chat", json=body, headers=headers) as response:
            assert response.status_code == 200
            return response.headers["x-run-id"]

    async def refused(self, owner: str, **fields: str) -> httpx.Response:
        body = {**fields, "messages": [{"role": "user", "content": "Go"}]}
        return await self._client.post("/chat", json=body, headers={"x-api-key": _key(owner)})

    async def ask_many(self, owner: str, model: str, count: int, **fields: str) -> list[str]:
        return await asyncio.gather(*(self.ask(owner, model, **fields) for _ in range(count)))

    @asynccontextmanager
    async def paused(self) -> AsyncGenerator[None]:
        """Let no run start, so that all that are requested meanwhile wait together."""
        redis = self._valkey.client()
        pauses = Pauses(redis)
        try:
            await pauses.begin("processing", None, operator="test")
            yield
            await pauses.end("processing", None, operator="test")
        finally:
            await redis.aclose()

    async def ended_runs(self, run_ids: Sequence[str], *, seconds: float = 120) -> list[Run]:
        """Wait until all jobs are done, and return the runs."""
        redis = self._valkey.client()

        async def no_job_is_left() -> bool:
            return not await redis.execute_command("ZCARD", keys.QUEUE)

        try:
            await until(no_job_is_left, seconds=seconds)
            found = await RunStore(redis, live_ttl=600).get_many(run_ids)
        finally:
            await redis.aclose()
        return [found[run_id] for run_id in run_ids]


#: An agent that only the API has, as during a rollout.
_AGENT_FILE = "agents: [{name: poet, description: Writes poems., instructions: Write a poem.}]"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployment(
    upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[SeveralOwners]:
    await upstream.script("brief", [[{"sleep": 0.2}, {"text": ["Hello"]}]])
    await upstream.script("longer", [[{"sleep": 1.0}, {"text": ["Hello"]}]])
    entries = [{"name": owner, "key": _key(owner)} for owner in _OWNERS]
    file = tmp_path_factory.mktemp("agents") / "agents.yaml"
    file.write_text(_AGENT_FILE)
    entries.append({"name": "trial", "key": _key("trial"), "plan": "trial"})
    env = {
        "MAMBA_QUEUE__BACKGROUND_DENIED": '["trial"]',
        "MAMBA_AUTH__MODE": "api_key",
        "MAMBA_AUTH__API_KEYS": json.dumps(entries),
        "MAMBA_AGENTS__FILE": str(file),
    }
    async with AsyncExitStack() as stack:
        valkey = Valkey()
        stack.push_async_callback(stop_all, valkey)
        await start_all(valkey)
        api = Api(valkey.url, env)
        settings = {
            "MAMBA_WORKER__CONCURRENCY": str(_SLOTS // 2),
            "MAMBA_WORKER__LEASE_SECONDS": "60",
            "MAMBA_RUN__AGENT_WAIT_SECONDS": str(_AGENT_WAIT_SECONDS),
        }
        workers = [Worker(valkey.url, upstream.base_url, settings) for _ in range(2)]
        stack.push_async_callback(stop_all, api, *workers)
        await start_all(api, *workers)
        limits = httpx.Limits(max_connections=50)
        client = httpx.AsyncClient(base_url=api.url, timeout=60, limits=limits)
        await stack.enter_async_context(client)
        yield SeveralOwners(client, valkey)


def _started_at(run: Run) -> int:
    assert run.started_at is not None
    return run.started_at


def _most_overtaking(runs: Sequence[Run], others: Sequence[Run]) -> int:
    """Return how many of the others, at most, started while one of the runs waited."""
    starts = [_started_at(other) for other in others]
    return max(sum(run.admitted_at < start < _started_at(run) for start in starts) for run in runs)


@pytest.mark.asyncio(loop_scope="session")
async def test_single_runs_do_not_wait_behind_300_of_one_owner(deployment: SeveralOwners) -> None:
    many = await deployment.ask_many("many", "brief", 300)
    single = [await deployment.ask(owner, "brief") for owner in _OTHERS]

    runs = await deployment.ended_runs([*many, *single])

    assert _most_overtaking(runs[300:], runs[:300]) <= 2 * _SLOTS


@pytest.mark.asyncio(loop_scope="session")
async def test_owners_with_long_and_short_runs_get_equal_work(deployment: SeveralOwners) -> None:
    async with deployment.paused():
        many, few = await asyncio.gather(
            deployment.ask_many("many", "brief", 150), deployment.ask_many("few", "longer", 30)
        )

    runs = await deployment.ended_runs([*many, *few])

    by_owner = {"many": runs[:150], "few": runs[150:]}
    begin = min(map(_started_at, runs))
    end = min(max(map(_started_at, owned)) for owned in by_owner.values())
    work = {
        owner: float(sum(_overlap(run, begin, end) for run in owned))
        for owner, owned in by_owner.items()
    }
    assert jains_index(work) >= 0.95, work


@pytest.mark.asyncio(loop_scope="session")
async def test_runs_without_an_agent_do_not_occupy_slots(deployment: SeveralOwners) -> None:
    waiting = await deployment.ask_many("many", "brief", 12, agent="poet")
    others = [await deployment.ask(owner, "brief") for owner in _OTHERS[:4]]

    runs = await deployment.ended_runs([*waiting, *others])

    waits = [_started_at(run) - run.admitted_at for run in runs if run.id in others]
    assert max(waits) / 1000 < _AGENT_WAIT_SECONDS
    assert {run.error for run in runs if run.id in waiting} == {"unknown_agent"}


@pytest.mark.asyncio(loop_scope="session")
async def test_single_runs_do_not_wait_behind_background_runs(deployment: SeveralOwners) -> None:
    batch = await deployment.ask_many("many", "brief", 300, priority="background")
    single = [await deployment.ask(owner, "brief") for owner in _OTHERS]

    runs = await deployment.ended_runs([*batch, *single])

    assert _most_overtaking(runs[300:], runs[:300]) <= 2 * _SLOTS
    assert {run.priority for run in runs if run.id in batch} == {"background"}


@pytest.mark.asyncio(loop_scope="session")
async def test_background_runs_get_their_share(deployment: SeveralOwners) -> None:
    async with deployment.paused():
        interactive, batch = await asyncio.gather(
            deployment.ask_many("many", "brief", 200),
            deployment.ask_many("many", "brief", 60, priority="background"),
        )

    runs = await deployment.ended_runs([*interactive, *batch])

    begin, end = min(map(_started_at, runs)), max(map(_started_at, runs[:200]))
    work = [sum(_overlap(run, begin, end) for run in part) for part in (runs[:200], runs[200:])]
    assert 0.04 <= work[1] / sum(work) <= 0.25, work


@pytest.mark.asyncio(loop_scope="session")
async def test_background_run_of_a_denied_plan_is_refused(deployment: SeveralOwners) -> None:
    refused = await deployment.refused("trial", priority="background")

    assert (refused.status_code, refused.json()["field"]) == (422, "priority")


def _overlap(run: Run, begin: int, end: int) -> int:
    """Return the milliseconds of service of a run between two times."""
    return max(0, min(run.ended_at or 0, end) - max(run.started_at or 0, begin))
