"""Fixtures that run real processes with a scripted upstream."""

import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio

from tests.support.ai_client.driver import AiClient
from tests.support.browser.page import Browser, open_browser
from tests.support.chat_page.chat_window import page_server
from tests.support.fakes.proxy import Proxy
from tests.support.processes import Api, Valkey, start_all, stop_all
from tests.support.sse_client import SseClient, open_sse_client
from tests.support.system.running_system import System, empty_redis
from tests.support.upstream.client import Upstream
from web.page import CONSOLE


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def upstream() -> AsyncGenerator[Upstream]:
    async with Upstream() as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ai() -> AsyncGenerator[AiClient]:
    async with AiClient() as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sse() -> AsyncGenerator[SseClient]:
    async with open_sse_client() as sse:
        yield sse


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(upstream: Upstream) -> AsyncGenerator[System]:
    """Two APIs and two workers, shared by all tests that stop none of them.

    A worker that gets no processor time for some seconds keeps its leases.
    """
    async with (
        _two_apis(upstream) as system,
        system.start_workers(2, WORKER__LEASE_SECONDS=60) as system.workers,
    ):
        yield system


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def workerless_system(upstream: Upstream) -> AsyncGenerator[System]:
    """Two APIs with frequent heartbeats, and no worker."""
    async with _two_apis(upstream, MAMBA_SERVER__HEARTBEAT_SECONDS="0.2") as system:
        yield system


@pytest_asyncio.fixture(loop_scope="session")
async def workerless(workerless_system: System) -> AsyncGenerator[System]:
    """The same with an empty Redis. Each test starts its own workers."""
    async with empty_redis(workerless_system):
        yield workerless_system


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """A real browser, after a build of the console."""
    CONSOLE.build()
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def chat_pages(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The URL of pages with React and each version of the AI SDK."""
    with page_server(tmp_path_factory.mktemp("chat")) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(system: System) -> AsyncGenerator[Proxy]:
    """A proxy in front of the first API."""
    async with Proxy(system.apis[0].port) as proxy:
        yield proxy


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A unique name for the chat and the model of a test."""
    return f"{request.node.name}-{secrets.token_hex(4)}"


@asynccontextmanager
async def _two_apis(upstream: Upstream, **env: str) -> AsyncGenerator[System]:
    valkey = Valkey()
    await start_all(valkey)
    apis = [Api(valkey.url, env), Api(valkey.url, env)]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(stop_all, valkey)
        stack.push_async_callback(stop_all, *apis)
        await start_all(*apis)
        yield System(valkey, upstream, apis)
