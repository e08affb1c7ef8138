from collections.abc import AsyncGenerator

import pytest

from shared.redis.client import Redis
from tests.support.processes import Valkey
from tests.support.worker_pool import WorkerPool, open_worker_pool


@pytest.fixture
async def pool(valkey: Valkey, redis: Redis) -> AsyncGenerator[WorkerPool]:
    async with open_worker_pool(valkey.url, redis) as pool:
        yield pool
