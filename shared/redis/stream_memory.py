"""The memory of the servers that store streams, if they are not the queue's server."""

import time
from collections.abc import Awaitable, Callable
from typing import cast

from shared.redis.client import REDIS_UNAVAILABLE, RedisError

#: How long a reading is used. Reading it for each run would be slow.
_FRESH_SECONDS = 1.0


class StreamMemory:
    def __init__(self, read_nodes: Callable[..., Awaitable[dict[str, object]]]) -> None:
        """`read_nodes` sends a command to each node and returns the replies."""
        self._read_nodes = read_nodes
        self._used_share = 0.0
        self._read_at = float("-inf")

    async def is_short(self, max_share: float) -> bool:
        """Return whether a node uses more than this share of its memory limit; 0: no limit."""
        if max_share == 0:
            return False
        if time.monotonic() - self._read_at > _FRESH_SECONDS:
            self._used_share = await self._read_used_share()
            self._read_at = time.monotonic()
        return self._used_share > max_share

    async def _read_used_share(self) -> float:
        """Return the largest share. Nodes that do not report their memory are left out."""
        try:
            replies = await self._read_nodes("INFO", "memory")
        except REDIS_UNAVAILABLE:
            raise
        except RedisError:
            return 0.0
        return max((_used_share(reply) for reply in replies.values()), default=0.0)


def _used_share(info: object) -> float:
    if not isinstance(info, dict):
        return 0.0
    memory = cast("dict[str, int]", info)
    limit = memory.get("maxmemory", 0)
    return memory.get("used_memory", 0) / limit if limit else 0.0
