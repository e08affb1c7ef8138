"""`mamba probe`: the container health check for Docker and Kubernetes."""

import asyncio
import socket

from mamba.http_probe import responds_ok
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis, connect
from shared.settings import Settings

_TIMEOUT_SECONDS = 4.0


def is_api_healthy(settings: Settings) -> bool:
    """Return whether the API responds. Its dependencies are ignored: a restart cannot fix them."""
    server = settings.server
    return responds_ok(server.host, server.port, "/health/live", timeout=_TIMEOUT_SECONDS)


def is_worker_healthy(settings: Settings) -> bool:
    """Return whether a worker on this host has a live record in the process registry.

    Returns True if Redis is unreachable: the worker waits for it, and a restart would not help.
    """
    return asyncio.run(_is_worker_healthy(settings))


async def _is_worker_healthy(settings: Settings) -> bool:
    redis = connect(settings.redis.url, name="mamba-probe", max_connections=2)
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            return await _has_worker(redis)
    except (*REDIS_UNAVAILABLE, TimeoutError):
        return True
    finally:
        await redis.aclose()


async def _has_worker(redis: Redis) -> bool:
    """A worker's command channel has the same name as its record, so no SCAN is needed."""
    pattern = keys.worker(f"{socket.gethostname()}-*")
    channels: list[bytes] = await redis.execute_command("PUBSUB", "CHANNELS", pattern)
    return bool(channels) and bool(await redis.execute_command("EXISTS", *channels))
