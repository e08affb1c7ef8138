"""Streams on a Redis cluster stay complete while hash slots migrate and nodes fail."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from shared.redis import keys
from shared.redis.hash_slots import slot_of
from tests.support.forked_program import CliResult, run_mamba
from tests.support.processes import Api, Valkey, Worker, start_all
from tests.support.redis_cluster import (
    RedisCluster,
    SharedCluster,
    assign_slot,
    is_in_sync,
    migrate,
    open_cluster,
)
from tests.support.sse_client import Json, SseClient, check_whole, text
from tests.support.system.running_system import kill_process
from tests.support.upstream.client import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo", " world"]}]]


class ClusterSystem:
    """The queue on one server, the streams on a cluster, an API and a worker."""

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
        """Kill the worker and start another."""
        await kill_process(self.worker)
        self.worker = self._new_worker()
        self.worker.start()
        await self.worker.ready()

    @property
    def chat(self) -> str:
        return f"{self.api.url}/chat"

    async def mamba(self, *command: str) -> CliResult:
        env = {**self.env, "MAMBA_REDIS__URL": self.queue.url, "OPENAI_API_KEY": "x"}
        return await run_mamba(command, env)


@asynccontextmanager
async def open_cluster_system(
    cluster: RedisCluster, upstream: Upstream
) -> AsyncGenerator[ClusterSystem]:
    queue = Valkey()
    system = ClusterSystem(cluster, queue, upstream)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(lambda: kill_process(system.worker))
        for process in (queue, system.api, system.worker):
            await start_all(process)
            if process is not system.worker:
                stack.push_async_callback(kill_process, process)
        yield system


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster_system(
    clusters: SharedCluster, upstream: Upstream
) -> AsyncGenerator[ClusterSystem]:
    async with clusters.emptied() as cluster, open_cluster_system(cluster, upstream) as system:
        yield system


@pytest_asyncio.fixture(loop_scope="session")
async def breakable(tmp_path: Path, upstream: Upstream) -> AsyncGenerator[ClusterSystem]:
    """A system for one test, with persistence and a replica of the first primary."""
    async with (
        open_cluster(tmp_path, replicas=1, persistent=True) as cluster,
        open_cluster_system(cluster, upstream) as system,
    ):
        yield system


async def test_streams_are_stored_and_replayed_on_the_cluster(
    cluster_system: ClusterSystem, sse: SseClient, name: str
) -> None:
    await cluster_system.upstream.script(name, [[{"words": 20, "delay": 0.005}]])

    answers = await asyncio.gather(
        *(sse.answer(cluster_system.chat, f"{name}-{n}", model=name) for n in range(12))
    )

    nodes: set[int] = set()
    for number, events in enumerate(answers):
        check_whole(events)
        assert await sse.replay(cluster_system.chat, f"{name}-{number}") == events
        nodes.add((await cluster_system.cluster.owner(keys.stream(events[0].run_id))).port)
    assert len(nodes) > 1
    async with aclosing(cluster_system.queue.client()) as redis:
        assert await redis.execute_command("KEYS", "mamba:run:*") == []


async def test_another_worker_continues_after_a_kill(
    cluster_system: ClusterSystem, sse: SseClient, name: str
) -> None:
    await cluster_system.upstream.script(name, HELLO)
    async with sse.ask(cluster_system.chat, name, model=name) as stream:
        events = await stream.until("text-delta")
        await cluster_system.replace_worker()
        await cluster_system.upstream.until(name, lambda received: len(received) == 2)
        await cluster_system.upstream.release(name)
        events += await stream.rest()

    check_whole(events)
    assert {event.attempt for event in events} == {1, 2}
    assert await sse.replay(cluster_system.chat, name) == events


async def test_dropped_client_resumes_after_its_last_event(
    cluster_system: ClusterSystem, sse: SseClient, name: str
) -> None:
    await cluster_system.upstream.script(name, HELLO)
    async with sse.ask(cluster_system.chat, name, model=name) as stream:
        seen = await stream.until("text-delta")
    async with sse.follow(cluster_system.chat, name, after=seen[-1].id) as stream:
        await cluster_system.upstream.release(name)
        seen += await stream.rest()

    check_whole(seen)
    assert text(seen) == "Hello world"


async def test_stop_and_supersede_cancel_the_run(
    cluster_system: ClusterSystem, sse: SseClient, name: str
) -> None:
    later = f"{name}-later"
    await cluster_system.upstream.script(name, HELLO)
    await cluster_system.upstream.script(later, [[{"text": ["Well"]}]])
    async with sse.ask(cluster_system.chat, name, model=name) as stream:
        events = await stream.until("text-delta")
        refused = await sse.post(cluster_system.chat, name, model=name)
        assert (refused.status_code, refused.json()["code"]) == (409, "run_in_progress")

        newer = await sse.answer(cluster_system.chat, name, model=later, supersede=True)

        events += await stream.rest()
    check_whole(events, ending="abort")
    assert text(newer) == "Well"

    async with sse.ask(cluster_system.chat, later, model=name) as stream:
        events = await stream.until("text-delta")
        assert (await sse.stop(cluster_system.chat, later)).json()["state"] == "cancelled"
        events += await stream.rest()
    check_whole(events, ending="abort")


async def test_live_answer_continues_while_its_slot_migrates(
    cluster_system: ClusterSystem, sse: SseClient, name: str
) -> None:
    responses: list[list[Json]] = [
        [{"text": ["a"]}, {"wait": True}, {"text": ["b"]}, {"wait": True}, {"text": ["c"]}]
    ]
    await cluster_system.upstream.script(name, responses)
    async with sse.ask(cluster_system.chat, name, model=name) as stream:
        events = await stream.until("text-delta")
        stream_key = keys.stream(events[0].run_id)

        target = await migrate(cluster_system.cluster, stream_key, finish=False)
        await cluster_system.upstream.release(name)
        events += await stream.until("text-delta")
        await assign_slot(cluster_system.cluster, slot_of(stream_key), target)
        await cluster_system.upstream.release(name)
        events += await stream.rest()

    check_whole(events)
    assert text(events) == "abc"
    assert await sse.replay(cluster_system.chat, name) == events


async def test_answers_are_complete_while_slots_migrate_repeatedly(
    cluster_system: ClusterSystem, sse: SseClient, name: str
) -> None:
    await cluster_system.upstream.script(name, [[{"words": 150, "delay": 0.02}]])

    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(sse.ask(cluster_system.chat, f"{name}-{n}", model=name))
            for n in range(4)
        ]
        seen = [await stream.until("text-delta") for stream in streams]
        for events in seen * 3:
            await migrate(cluster_system.cluster, keys.stream(events[0].run_id))
        for events, stream in zip(seen, streams, strict=True):
            events.extend(await stream.rest())

    for events in seen:
        check_whole(events)
        assert text(events).split() == [f"w{n}" for n in range(150)]


async def test_followers_see_the_whole_answer_after_a_primary_dies(
    breakable: ClusterSystem, sse: SseClient, name: str
) -> None:
    await breakable.upstream.script(name, HELLO)
    primary, replica = breakable.cluster.primaries[0], breakable.cluster.replicas[0]
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(sse.ask(breakable.chat, f"{name}-{n}", model=name))
            for n in range(24)  # of which almost certainly one is stored on this primary
        ]
        seen = [await stream.until("text-delta") for stream in streams]
        owners = [await breakable.cluster.owner(keys.stream(events[0].run_id)) for events in seen]
        assert 0 < owners.count(primary) < len(owners)
        await until(lambda: is_in_sync(primary, replica))
        await primary.kill()
        await breakable.upstream.release(name)
        for events, stream in zip(seen, streams, strict=True):
            events.extend(await stream.rest())

    for number, events in enumerate(seen):
        check_whole(events)
        assert text(events) == "Hello world"
        assert await sse.replay(breakable.chat, f"{name}-{number}") == events


async def test_failed_node_delays_only_its_own_answers(
    breakable: ClusterSystem, sse: SseClient, name: str
) -> None:
    await breakable.upstream.script(name, HELLO)
    down = breakable.cluster.primaries[1]
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(sse.ask(breakable.chat, f"{name}-{n}", model=name))
            for n in range(24)  # of which almost certainly one is stored on this primary
        ]
        seen = [await stream.until("text-delta") for stream in streams]
        delayed = [
            await breakable.cluster.owner(keys.stream(events[0].run_id)) is down for events in seen
        ]
        assert 0 < delayed.count(True) < len(delayed)

        await down.kill()
        await breakable.upstream.release(name)
        for events, stream, is_delayed in zip(seen, streams, delayed, strict=True):
            events.extend([] if is_delayed else await stream.rest())
        await until(lambda: _streams_have_status(breakable, "degraded"))
        down.start()
        for events, stream, is_delayed in zip(seen, streams, delayed, strict=True):
            events.extend(await stream.rest() if is_delayed else [])

    for events in seen:
        check_whole(events)
        assert text(events) == "Hello world"


async def _streams_have_status(system: ClusterSystem, status: str) -> bool:
    async with httpx.AsyncClient(timeout=30) as client:
        found = (await client.get(f"{system.api.url}/health")).json()
    return found["components"]["streams"]["status"] == status


async def test_operator_commands_find_runs_on_the_cluster(
    cluster_system: ClusterSystem, sse: SseClient, name: str
) -> None:
    await cluster_system.upstream.script(name, HELLO)
    async with sse.ask(cluster_system.chat, name, model=name) as stream:
        events = await stream.until("text-delta")
        run_id = events[0].run_id

        shown = (await cluster_system.mamba("run", "show", run_id, "--json")).json
        queue = (await cluster_system.mamba("queue", "--json")).json
        doctor = (await cluster_system.mamba("doctor", "--json")).json
        stopped = await cluster_system.mamba("run", "stop", run_id)

        events += await stream.rest()
    assert (shown["id"], shown["state"]) == (run_id, "running")
    assert run_id in [run["id"] for run in queue["runs"]]
    streams = [found for found in doctor if found["part"] == "streams"]
    assert [found["status"] for found in streams] == ["ok", "warning"] * 3
    assert "cancelled" in stopped.out
    check_whole(events, ending="abort")
