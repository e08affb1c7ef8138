"""One API process for each module, and a client of it."""

from collections.abc import AsyncGenerator, Generator

import httpx
import pytest

from shared.redis.client import Redis
from tests.support.processes import Api, Valkey, running


@pytest.fixture(scope="module")
def api(valkey: Valkey) -> Generator[Api]:
    with running(Api(valkey.url)) as process:
        yield process


@pytest.fixture
async def client(api: Api, redis: Redis) -> AsyncGenerator[httpx.AsyncClient]:
    assert redis
    async with httpx.AsyncClient(base_url=api.url, timeout=20) as client:
        yield client
