"""Each event stream there is, with the store of its runs."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol, cast

from fakeredis import FakeAsyncRedis

from shared.redis.client import Redis
from shared.redis.cluster_client import ClusterClient
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.streams.event_stream import EventStream, RedisEventStream, Takeover
from tests.support.fakes.memory_stream import MemoryEventStream
from tests.support.fakes.runs import new_run

LIVE_TTL = 600
RETENTION = 60


class Runs(Protocol):
    async def create(self, run: Run) -> None: ...
    async def get(self, run_id: str) -> Run | None: ...
    async def request_cancel(self, run_id: str) -> None: ...
    async def count_failure(self, run_id: str, attempt: int) -> None: ...
    async def count_handover(self, run_id: str, attempt: int) -> None: ...


class House(NamedTuple):
    stream: EventStream
    runs: Runs

    async def new_run(self) -> str:
        run = new_run()
        await self.runs.create(run)
        return run.id

    async def taken(self) -> tuple[str, Takeover]:
        """A run, and its first take-over."""
        run_id = await self.new_run()
        return run_id, await self.stream.take_over(run_id)


def memory_house() -> House:
    stream = MemoryEventStream()
    return House(stream, stream)


def redis_house(redis: Redis) -> House:
    cluster = redis if isinstance(redis, ClusterClient) else None
    stream = RedisEventStream(redis, live_ttl=LIVE_TTL, retention=RETENTION, cluster=cluster)
    return House(stream, RunStore(redis, live_ttl=LIVE_TTL))


@asynccontextmanager
async def fakeredis_house() -> AsyncGenerator[House]:
    redis = cast("Redis", FakeAsyncRedis())
    yield redis_house(redis)
    await redis.aclose()
