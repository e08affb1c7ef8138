from collections.abc import AsyncGenerator

import pytest

from shared.redis.client import Redis
from tests.support.follow_harness import FollowHarness, open_harness
from tests.support.processes import Valkey


@pytest.fixture
async def harness(valkey: Valkey, redis: Redis) -> AsyncGenerator[FollowHarness]:
    async with open_harness(valkey, redis) as harness:
        yield harness
