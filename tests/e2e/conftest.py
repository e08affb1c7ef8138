"""The house that end-to-end tests live in: a Valkey, two APIs, two workers, a scripted upstream."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest_asyncio

from tests.e2e.ai_client.driver import AiClient
from tests.processes import Api, Valkey, Worker, start_all, stop_all
from tests.upstream.client import Upstream


@dataclass
class House:
    valkey: Valkey
    upstream: Upstream
    apis: list[Api]
    workers: list[Worker]

    @property
    def chat(self) -> str:
        """The first API's chat route."""
        return f"{self.apis[0].url}/chat"

    @property
    def other_chat(self) -> str:
        """The second API's chat route."""
        return f"{self.apis[1].url}/chat"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def upstream() -> AsyncGenerator[Upstream]:
    async with Upstream() as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ai() -> AsyncGenerator[AiClient]:
    async with AiClient() as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(upstream: Upstream) -> AsyncGenerator[House]:
    """Shared by all tests that break nothing in it."""
    valkey = Valkey()
    await start_all(valkey)
    apis = [Api(valkey.url), Api(valkey.url)]
    workers = [Worker(valkey.url, upstream.base_url), Worker(valkey.url, upstream.base_url)]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(stop_all, valkey)
        stack.push_async_callback(stop_all, *apis, *workers)
        await start_all(*apis, *workers)
        yield House(valkey, upstream, apis, workers)
