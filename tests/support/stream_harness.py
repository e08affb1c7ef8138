"""The implementations of the event stream, each with the store of its runs."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol, cast

from fakeredis import FakeAsyncRedis, FakeServer

from shared.redis.client import Redis
from shared.redis.cluster_client import ClusterClient
from shared.redis.confirmation import Confirmation, ConfirmingClient
from shared.redis.scripts import WHEN_FULL, RedisScript
from shared.runs import store
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.streams import scripts
from shared.streams.event_stream import (
    Append,
    EventStream,
    RedisEventStream,
    Takeover,
    Verdict,
    read_all,
)
from tests.support.fakes.memory_stream import MemoryEventStream
from tests.support.fakes.runs import new_run

LIVE_TTL = 600
RETENTION = 60


class Runs(Protocol):
    async def create(self, run: Run) -> None: ...
    async def get(self, run_id: str) -> Run | None: ...
    async def request_stop(self, run_id: str) -> None: ...
    async def count_failure(self, run_id: str, attempt: int) -> None: ...
    async def count_handover(self, run_id: str, attempt: int) -> None: ...


class StreamHarness(NamedTuple):
    stream: EventStream
    runs: Runs

    async def create_run(self) -> str:
        run = new_run()
        await self.runs.create(run)
        return run.id

    async def begin_run(self) -> tuple[str, Takeover]:
        """Create a run and take it over for the first time."""
        run_id = await self.create_run()
        return run_id, await self.stream.take_over(run_id)

    async def append(self, append: Append) -> Verdict:
        [verdict] = await self.stream.append(append)
        return verdict

    async def run(self, run_id: str) -> Run:
        run = await self.runs.get(run_id)
        assert run is not None
        return run

    async def cursors(self, run_id: str) -> list[tuple[int, int]]:
        return [(entry.attempt, entry.offset) for entry in await read_all(self.stream, run_id)]

    async def payloads(self, run_id: str) -> list[bytes]:
        return [entry.data for entry in await read_all(self.stream, run_id)]


def memory_harness() -> StreamHarness:
    stream = MemoryEventStream()
    return StreamHarness(stream, stream)


def redis_harness(redis: Redis) -> StreamHarness:
    cluster = redis if isinstance(redis, ClusterClient) else None
    stream = RedisEventStream(redis, live_ttl=LIVE_TTL, retention=RETENTION, cluster=cluster)
    return StreamHarness(stream, RunStore(redis, live_ttl=LIVE_TTL))


def confirming_harness(primary: Redis) -> StreamHarness:
    """A stream whose writes one replica of the server confirms."""
    redis = ConfirmingClient(primary, Confirmation(1))
    stream = RedisEventStream(redis, live_ttl=LIVE_TTL, retention=RETENTION, publisher=primary)
    return StreamHarness(stream, RunStore(redis, live_ttl=LIVE_TTL))


@asynccontextmanager
async def fakeredis_harness() -> AsyncGenerator[StreamHarness]:
    server = FakeServer()
    for script in _scripts():  # fakeredis does not support flags in the first line
        text = script.text.removeprefix(WHEN_FULL)
        server.script_cache[script.sha.encode()] = text.encode()
    redis = cast("Redis", FakeAsyncRedis(server=server))
    yield redis_harness(redis)
    await redis.aclose()


def _scripts() -> Iterator[RedisScript[..., Any]]:
    for module in (scripts, store):
        for value in vars(module).values():
            if isinstance(value, RedisScript):
                yield value
