"""A running system: Valkey, API processes, workers, and their model server."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.run import Run
from shared.runs.store import RunStore
from tests.support.isolation.key_expiry import check_that_keys_expire
from tests.support.processes import Api, ServerProcess, Valkey, Worker
from tests.support.upstream.client import Upstream
from tests.support.wait import until


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


@asynccontextmanager
async def empty_redis(system: System) -> AsyncGenerator[None]:
    """Empty Redis at the start; at the end, each remaining key must have a TTL."""
    async with system.redis() as redis:
        await redis.execute_command("FLUSHALL")
        yield
        await check_that_keys_expire(redis)
