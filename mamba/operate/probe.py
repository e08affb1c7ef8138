"""Whether the process in this container is well: `mamba probe`, for Docker and for Kubernetes."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from http.client import HTTPConnection, HTTPException

from shared.redis import keys
from shared.redis.client import REDIS_AWAY, Redis, connect
from shared.settings import Settings

SECONDS = 4.0
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def api_is_well(settings: Settings) -> bool:
    """The API answers. What it needs may be away: to restart it would bring nothing back."""
    host = _LOOPBACK.get(settings.server.host, settings.server.host)
    connection = HTTPConnection(host, settings.server.port, timeout=SECONDS)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def worker_is_well(settings: Settings, *, hostname: str = "") -> bool:
    """A worker of this host has written its health line within 6 seconds.

    Where Redis is away nobody can tell, and the worker waits for it: it is well.
    """
    return asyncio.run(_of_redis(settings, lambda redis: _has_worker(redis, hostname)))


async def _of_redis(settings: Settings, ask: Callable[[Redis], Awaitable[bool]]) -> bool:
    redis = connect(settings.redis.url, name="mamba-probe", max_connections=2)
    try:
        async with asyncio.timeout(SECONDS):
            return await ask(redis)
    except (*REDIS_AWAY, TimeoutError):
        return True
    finally:
        await redis.aclose()


async def _has_worker(redis: Redis, hostname: str) -> bool:
    """A worker listens to orders under its health line's name: so it is found without a SCAN."""
    pattern = keys.worker(f"{hostname or socket.gethostname()}-*")
    lines: list[bytes] = await redis.execute_command("PUBSUB", "CHANNELS", pattern)
    return bool(lines) and bool(await redis.execute_command("EXISTS", *lines))
