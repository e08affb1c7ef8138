import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing

import pytest

from shared.redis.client import Redis
from tests.support.processes import Valkey, running
from tests.support.redis_cluster import SharedCluster
from tests.support.redis_sentinel import ReplicaPair
from tests.support.stream_harness import (
    StreamHarness,
    confirming_harness,
    fakeredis_harness,
    memory_harness,
    redis_harness,
)


@pytest.fixture(scope="module")
def replicated() -> Generator[Valkey]:
    """A server with a replica."""
    options = ["--repl-diskless-sync-delay", "0"]
    with running(Valkey(options=options)) as primary:
        replica = Valkey().start_as_replica_of(primary)
        try:
            asyncio.run(ReplicaPair(primary, replica).wait_for_sync())
            yield primary
        finally:
            asyncio.run(replica.stop())


@pytest.fixture(params=["memory", "valkey", "fakeredis", "cluster", "confirmed"])
async def harness(
    request: pytest.FixtureRequest, redis: Redis, clusters: SharedCluster, replicated: Valkey
) -> AsyncGenerator[StreamHarness]:
    match request.param:
        case "confirmed":
            async with aclosing(replicated.client()) as client:
                await client.execute_command("FLUSHALL")
                yield confirming_harness(client)
        case "cluster":
            async with clusters.emptied() as cluster, aclosing(cluster.client()) as client:
                yield redis_harness(client)
        case "memory":
            yield memory_harness()
        case "fakeredis":
            async with fakeredis_harness() as harness:
                yield harness
        case _:
            yield redis_harness(redis)
