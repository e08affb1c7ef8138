"""Chats with their logs on a cluster: answered whole, whatever happens to slots and nodes."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from shared.redis import keys
from shared.redis.hash_slots import slot_of
from tests.e2e.conftest import end
from tests.support import redis_cluster as clusters_of
from tests.support.processes import ROOT, Api, Valkey, Worker, start_all
from tests.support.redis_cluster import RedisCluster, SharedCluster, give, in_step, migrate
from tests.support.sse_client import Json, SseClient, check_whole, text
from tests.support.upstream.client import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo", " world"]}]]


class ClusterHouse:
    """The queue on one server, the logs on a cluster, an API and a worker."""

    def __init__(self, cluster: RedisCluster, queue: Valkey, upstream: Upstream) -> None:
        self.cluster = cluster
        self.queue = queue
        self.upstream = upstream
        self.env = {
            "MAMBA_REDIS__STREAMS_URL": cluster.url,
            "MAMBA_SERVER__HEARTBEAT_SECONDS": "0.2",
        }
        self.api = Api(queue.url, self.env)
        self.worker = self._new_worker()

    def _new_worker(self) -> Worker:
        return Worker(self.queue.url, self.upstream.base_url, self.env)

    async def replace_worker(self) -> None:
        """Kill it; another takes its place."""
        await end(self.worker)
        self.worker = self._new_worker()
        self.worker.start()
        await self.worker.ready()

    @property
    def chat(self) -> str:
        return f"{self.api.url}/chat"

    def mamba(self, *command: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **self.env, "MAMBA_REDIS__URL": self.queue.url, "OPENAI_API_KEY": "x"}
        words = [sys.executable, "-m", "mamba", *command]
        return subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, check=False)


@asynccontextmanager
async def opened(cluster: RedisCluster, upstream: Upstream) -> AsyncGenerator[ClusterHouse]:
    queue = Valkey()
    system = ClusterHouse(cluster, queue, upstream)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(lambda: end(system.worker))
        for process in (queue, system.api, system.worker):
            await start_all(process)
            if process is not system.worker:
                stack.push_async_callback(end, process)
        yield system


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster_house(
    clusters: SharedCluster, upstream: Upstream
) -> AsyncGenerator[ClusterHouse]:
    async with clusters.emptied() as cluster, opened(cluster, upstream) as system:
        yield system


@pytest_asyncio.fixture(loop_scope="session")
async def own(tmp_path: Path, upstream: Upstream) -> AsyncGenerator[ClusterHouse]:
    """One to break: its first primary has a replica, and all keep what was written."""
    async with (
        clusters_of.cluster(tmp_path, replicas=1, keeps=True) as cluster,
        opened(cluster, upstream) as system,
    ):
        yield system


async def test_streams_are_stored_and_replayed_on_the_cluster(
    cluster_house: ClusterHouse, sse: SseClient, name: str
) -> None:
    system = cluster_house
    await system.upstream.script(name, [[{"words": 20, "delay": 0.005}]])

    answers = await asyncio.gather(
        *(sse.answer(system.chat, f"{name}-{n}", model=name) for n in range(12))
    )

    nodes: set[int] = set()
    for number, events in enumerate(answers):
        check_whole(events)
        assert await sse.replay(system.chat, f"{name}-{number}") == events
        nodes.add((await system.cluster.owner(keys.stream(events[0].run_id))).port)
    assert len(nodes) > 1
    async with aclosing(system.queue.client()) as redis:
        assert await redis.execute_command("KEYS", "mamba:run:*") == []


async def test_another_worker_continues_after_a_kill(
    cluster_house: ClusterHouse, sse: SseClient, name: str
) -> None:
    system = cluster_house
    await system.upstream.script(name, HELLO)
    async with sse.ask(system.chat, name, model=name) as stream:
        events = await stream.until("text-delta")
        await system.replace_worker()
        await system.upstream.until(name, lambda received: len(received) == 2)
        await system.upstream.release(name)
        events += await stream.rest()

    check_whole(events)
    assert {event.attempt for event in events} == {1, 2}
    assert await sse.replay(system.chat, name) == events


async def test_dropped_client_resumes_after_its_last_event(
    cluster_house: ClusterHouse, sse: SseClient, name: str
) -> None:
    system = cluster_house
    await system.upstream.script(name, HELLO)
    async with sse.ask(system.chat, name, model=name) as stream:
        seen = await stream.until("text-delta")
    async with sse.follow(system.chat, name, after=seen[-1].id) as stream:
        await system.upstream.release(name)
        seen += await stream.rest()

    check_whole(seen)
    assert text(seen) == "Hello world"


async def test_stop_and_supersede_cancel_the_run(
    cluster_house: ClusterHouse, sse: SseClient, name: str
) -> None:
    system = cluster_house
    later = f"{name}-later"
    await system.upstream.script(name, HELLO)
    await system.upstream.script(later, [[{"text": ["Well"]}]])
    async with sse.ask(system.chat, name, model=name) as stream:
        events = await stream.until("text-delta")
        refused = await sse.post(system.chat, name, model=name)
        assert (refused.status_code, refused.json()["code"]) == (409, "run_in_progress")

        newer = await sse.answer(system.chat, name, model=later, supersede=True)

        events += await stream.rest()
    check_whole(events, ending="abort")
    assert text(newer) == "Well"

    async with sse.ask(system.chat, later, model=name) as stream:
        events = await stream.until("text-delta")
        assert (await sse.stop(system.chat, later)).json()["state"] == "cancelled"
        events += await stream.rest()
    check_whole(events, ending="abort")


async def test_live_answer_continues_while_its_slot_migrates(
    cluster_house: ClusterHouse, sse: SseClient, name: str
) -> None:
    system = cluster_house
    turns: list[list[Json]] = [
        [{"text": ["a"]}, {"wait": True}, {"text": ["b"]}, {"wait": True}, {"text": ["c"]}]
    ]
    await system.upstream.script(name, turns)
    async with sse.ask(system.chat, name, model=name) as stream:
        events = await stream.until("text-delta")
        log = keys.stream(events[0].run_id)

        target = await migrate(system.cluster, log, settle=False)
        await system.upstream.release(name)
        events += await stream.until("text-delta")
        await give(system.cluster, slot_of(log), target)
        await system.upstream.release(name)
        events += await stream.rest()

    check_whole(events)
    assert text(events) == "abc"
    assert await sse.replay(system.chat, name) == events


async def test_answers_are_complete_while_slots_migrate_repeatedly(
    cluster_house: ClusterHouse, sse: SseClient, name: str
) -> None:
    system = cluster_house
    await system.upstream.script(name, [[{"words": 150, "delay": 0.02}]])

    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(sse.ask(system.chat, f"{name}-{n}", model=name))
            for n in range(4)
        ]
        seen = [await stream.until("text-delta") for stream in streams]
        for events in seen * 3:
            await migrate(system.cluster, keys.stream(events[0].run_id))
        for events, stream in zip(seen, streams, strict=True):
            events.extend(await stream.rest())

    for events in seen:
        check_whole(events)
        assert text(events).split() == [f"w{n}" for n in range(150)]


async def test_followers_see_the_whole_answer_after_a_primary_dies(
    own: ClusterHouse, sse: SseClient, name: str
) -> None:
    await own.upstream.script(name, HELLO)
    primary, replica = own.cluster.primaries[0], own.cluster.replicas[0]
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(sse.ask(own.chat, f"{name}-{n}", model=name))
            for n in range(8)
        ]
        seen = [await stream.until("text-delta") for stream in streams]
        owners = [await own.cluster.owner(keys.stream(events[0].run_id)) for events in seen]
        assert 0 < owners.count(primary) < len(owners)
        await until(lambda: in_step(primary, replica))
        await primary.kill()
        await own.upstream.release(name)
        for events, stream in zip(seen, streams, strict=True):
            events.extend(await stream.rest())

    for number, events in enumerate(seen):
        check_whole(events)
        assert text(events) == "Hello world"
        assert await sse.replay(own.chat, f"{name}-{number}") == events


async def test_failed_node_delays_only_its_own_answers(
    own: ClusterHouse, sse: SseClient, name: str
) -> None:
    await own.upstream.script(name, HELLO)
    down = own.cluster.primaries[1]
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(sse.ask(own.chat, f"{name}-{n}", model=name))
            for n in range(8)
        ]
        seen = [await stream.until("text-delta") for stream in streams]
        held = [await own.cluster.owner(keys.stream(events[0].run_id)) is down for events in seen]
        assert 0 < held.count(True) < len(held)

        await down.kill()
        await own.upstream.release(name)
        for events, stream, waits in zip(seen, streams, held, strict=True):
            events.extend([] if waits else await stream.rest())
        await until(lambda: _streams_are(own, "degraded"))
        down.start()
        for events, stream, waits in zip(seen, streams, held, strict=True):
            events.extend(await stream.rest() if waits else [])

    for events in seen:
        check_whole(events)
        assert text(events) == "Hello world"


async def _streams_are(system: ClusterHouse, status: str) -> bool:
    async with httpx.AsyncClient() as client:
        found = (await client.get(f"{system.api.url}/health")).json()
    return found["components"]["streams"]["status"] == status


async def test_operator_commands_find_runs_on_the_cluster(
    cluster_house: ClusterHouse, sse: SseClient, name: str
) -> None:
    system = cluster_house
    await system.upstream.script(name, HELLO)
    async with sse.ask(system.chat, name, model=name) as stream:
        events = await stream.until("text-delta")
        run_id = events[0].run_id

        shown = json.loads(system.mamba("run", "show", run_id, "--json").stdout)
        queue = json.loads(system.mamba("queue", "--json").stdout)
        doctor = system.mamba("doctor", "--json")
        stopped = system.mamba("run", "stop", run_id)

        events += await stream.rest()
    assert (shown["id"], shown["state"]) == (run_id, "running")
    assert run_id in [run["id"] for run in queue["runs"]]
    streams = [found for found in json.loads(doctor.stdout) if found["part"] == "streams"]
    assert [found["status"] for found in streams] == ["ok", "warning"] * 3
    assert "cancelled" in stopped.stdout
    check_whole(events, ending="abort")
