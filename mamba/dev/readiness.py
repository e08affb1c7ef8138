"""Waits until the processes of `mamba dev` are ready."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from redis.exceptions import RedisError

from mamba.http_probe import responds_ok
from mamba.operate.deployment import address
from mamba.supervisor.children import Child
from shared.processes.workers import WorkerRegistry
from shared.redis.client import Redis

_READY_SECONDS = 30
_REDIS_SECONDS = 10
_POLL_SECONDS = 0.05


class DevError(Exception):
    """`mamba dev` cannot run. The message is shown to the user."""


async def wait_for_redis(redis: Redis, url: str) -> None:
    """Raises DevError if Redis does not respond in time."""
    try:
        async with asyncio.timeout(_REDIS_SECONDS):
            await _poll(partial(_responds, redis))
    except TimeoutError:
        raise DevError(
            f"Redis at {address(url)} does not respond; start it, or correct MAMBA_REDIS__URL"
        ) from None


async def wait_for_api(child: Child, host: str, port: int) -> None:
    """Raises DevError if the API is not ready in time."""

    async def is_ready() -> bool:
        return await asyncio.to_thread(responds_ok, host, port, "/health/ready", timeout=2)

    await _wait_for(child, is_ready)


async def wait_for_worker(child: Child, redis: Redis, before: set[str]) -> None:
    """Wait for a worker that is not among those registered before.

    Raises:
        DevError: if no new worker registers in time.
    """

    async def is_registered() -> bool:
        return bool(await worker_ids(redis) - before)

    await _wait_for(child, is_registered)


async def worker_ids(redis: Redis) -> set[str]:
    return {worker.id for worker in await WorkerRegistry(redis).alive()}


async def _wait_for(child: Child, is_ready: Callable[[], Awaitable[bool]]) -> None:
    try:
        async with asyncio.timeout(_READY_SECONDS):
            await _poll(is_ready)
    except TimeoutError:
        raise DevError(
            f"{child.name} was not ready after {_READY_SECONDS} seconds{child.recent_output}"
        ) from None


async def _poll(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():  # noqa: ASYNC110 - the condition depends on other processes
        await asyncio.sleep(_POLL_SECONDS)


async def _responds(redis: Redis) -> bool:
    try:
        await redis.execute_command("PING")
    except (RedisError, OSError):
        return False
    return True
