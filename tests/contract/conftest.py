from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from shared.redis.client import Redis
from tests.support.redis_cluster import SharedCluster
from tests.support.stream_harness import (
    StreamHarness,
    fakeredis_harness,
    memory_harness,
    redis_harness,
)


@pytest.fixture(params=["memory", "valkey", "fakeredis", "cluster"])
async def harness(
    request: pytest.FixtureRequest, redis: Redis, clusters: SharedCluster
) -> AsyncGenerator[StreamHarness]:
    match request.param:
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
