"""The memory of Redis servers, from their `INFO memory`."""

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, cast

from shared.redis.client import REDIS_UNAVAILABLE, Redis, RedisError

#: How long a reading is used. Reading it for each run would be slow.
_FRESH_SECONDS = 1.0


class ServerMemory(NamedTuple):
    """The used memory of a server, and its limit (`maxmemory`; 0: no limit)."""

    used_bytes: int
    limit_bytes: int

    @property
    def used_share(self) -> float:
        return self.used_bytes / self.limit_bytes if self.limit_bytes else 0.0

    @classmethod
    def parse(cls, info: object) -> "ServerMemory | None":
        """Return the memory in a reply to INFO; None if the reply has none, or is an error."""
        if not isinstance(info, dict) or "used_memory" not in info:
            return None
        fields = cast("dict[str, int]", info)
        return cls(fields["used_memory"], fields.get("maxmemory", 0))


async def read_memory(redis: Redis) -> ServerMemory | None:
    """Return the memory of a server; None if it does not report it, as some hosted servers.

    Raises:
        REDIS_UNAVAILABLE: if the server does not respond.
    """
    try:
        return ServerMemory.parse(await redis.execute_command("INFO", "memory"))
    except REDIS_UNAVAILABLE:
        raise
    except RedisError:
        return None


class StreamMemory:
    """The memory of the servers that store streams, if they are not the queue's server."""

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
        known = (ServerMemory.parse(reply) for reply in replies.values())
        return max((memory.used_share for memory in known if memory), default=0.0)
