from collections.abc import AsyncGenerator

import pytest_asyncio

from mamba.operate.deployment import Deployment, open_deployment
from shared.redis.client import Redis
from shared.settings import RedisSettings, Settings
from tests.support.processes import Valkey


@pytest_asyncio.fixture
async def deployment(valkey: Valkey, redis: Redis) -> AsyncGenerator[Deployment]:  # noqa: ARG001
    settings = Settings(redis=RedisSettings(url=valkey.url))
    async with open_deployment(settings) as deployment:
        yield deployment
