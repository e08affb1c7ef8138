"""Fixtures that run real processes with a scripted upstream."""

import secrets
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.run import Run
from shared.runs.store import RunStore
from tests.conftest import check_that_keys_expire
from tests.support.ai_client.driver import AiClient
from tests.support.browser.page import Browser, open_browser
from tests.support.processes import Api, ServerProcess, Valkey, Worker, start_all, stop_all
from tests.support.sse_client import SseClient, open_sse_client
from tests.support.upstream.client import Upstream
from tests.support.wait import until
from web.page import build


@dataclass
class System:
    valkey: Valkey
    upstream: Upstream
    apis: list[Api]
    workers: list[Worker] = field(default_factory=list[Worker])

    @property
    def chat(self) -> str:
        """The first API's chat route."""
        return f"{self.apis[0].url}/chat"

    @property
    def other_chat(self) -> str:
        """The second API's chat route."""
        return f"{self.apis[1].url}/chat"

    @asynccontextmanager
    async def redis(self) -> AsyncGenerator[Redis]:
        client = self.valkey.client()
        try:
            yield client
        finally:
            await client.aclose()

    async def run(self, run_id: str) -> dict[str, str]:
        """The fields of the run's hash in Redis."""
        async with self.redis() as redis:
            fields: dict[bytes, bytes] = await redis.execute_command("HGETALL", keys.run(run_id))
        return {name.decode(): value.decode() for name, value in fields.items()}

    async def holder(self, run_id: str, workers: Sequence[Worker]) -> Worker:
        """Wait until one of the workers holds the run's lease, and return it."""
        async with self.redis() as redis:
            worker_id: bytes = await until(lambda: redis.execute_command("GET", keys.lease(run_id)))
        pid = int(worker_id.split(b"-")[-2])
        return next(worker for worker in workers if worker.child.pid == pid)

    @asynccontextmanager
    async def start_workers(
        self, count: int = 1, **settings: object
    ) -> AsyncGenerator[list[Worker]]:
        """Start workers with these settings and kill them at the end of the context."""
        env = {f"MAMBA_{name}": str(value) for name, value in settings.items()}
        url = self.upstream.base_url
        workers = [Worker(self.valkey.url, url, env) for _ in range(count)]
        async with AsyncExitStack() as stack:
            for worker in workers:
                worker.start()
                stack.push_async_callback(kill_process, worker)
            for worker in workers:
                await worker.ready()
            yield workers


async def enqueue_run(redis: Redis, **fields: Any) -> Run:
    """Add a run to the queue without admission checks."""
    defaults = {"id": "hostile", "chat_id": "c", "owner": "o", "message_id": "m", "request_id": "r"}
    run = Run.model_validate({"agent": "chat", "model": "m", **defaults, **fields})
    await RunStore(redis, live_ttl=600).create(run)
    await redis.execute_command("ZADD", keys.QUEUE, time.time() * 1000 - 90_000, run.id)
    await redis.execute_command("PEXPIRE", keys.QUEUE, 600_000)
    return run


async def kill_process(process: ServerProcess) -> None:
    """Kill a process if it still runs, and close its output."""
    await process.kill()
    await process.stop()


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
    """Two APIs and two workers, shared by all tests that stop none of them."""
    async with _two_apis(upstream) as system, system.start_workers(2) as system.workers:
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
    build()
    with open_browser() as browser:
        yield browser


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A unique name for the chat and the model of a test."""
    return f"{request.node.name}-{secrets.token_hex(4)}"


@asynccontextmanager
async def empty_redis(system: System) -> AsyncGenerator[None]:
    """Empty Redis at the start; at the end, each remaining key must have a TTL."""
    async with system.redis() as redis:
        await redis.execute_command("FLUSHALL")
        yield
        await check_that_keys_expire(redis)


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
