"""The newest run of each chat."""

from shared.redis import keys
from shared.redis.client import Redis


class ChatIndex:
    """Finds the newest run of a chat. Admission writes the index, on the queue's server."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def newest_run(self, owner: str, chat_id: str) -> str | None:
        """Return the id of the chat's newest run."""
        run_id: bytes | None = await self._redis.execute_command("GET", keys.chat(owner, chat_id))
        return run_id.decode() if run_id else None
