from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from shared.redis.client import Redis, connect
from tests.support.admission_harness import AdmissionHarness, stores
from tests.support.processes import Valkey
from tests.support.redis_cluster import SharedCluster


@pytest.fixture(params=["one server", "a second server", "a cluster"])
async def harness(
    request: pytest.FixtureRequest, valkey: Valkey, redis: Redis, clusters: SharedCluster
) -> AsyncGenerator[AdmissionHarness]:
    """An admission with the runs on the queue's server, on a second server or on a cluster."""
    match request.param:
        case "one server":
            yield AdmissionHarness(stores(redis, redis))
        case "a second server":
            url = valkey.url.replace("/0", "/1")
            async with aclosing(connect(url, name="test", max_connections=8)) as second:
                await second.execute_command("FLUSHDB")
                yield AdmissionHarness(stores(redis, second))
        case _:
            async with clusters.emptied() as cluster, aclosing(cluster.client()) as client:
                yield AdmissionHarness(stores(redis, client))
