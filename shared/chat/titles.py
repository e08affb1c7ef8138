"""Chat titles: their transfer from a worker to the waiting API process."""

from pydantic import BaseModel, ConfigDict

from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Key, redis_script

UNTITLED = "New chat"

#: Time to live of a title, for an API process that missed its publication. In milliseconds.
_TTL_MS = 10_000


class GeneratedTitle(BaseModel):
    """A worker's result. `title` is None if the model returned none."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: str | None


class TitleStore:
    """Generated titles in Redis. Only the requesting process reads a title."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def save(self, title_id: str, title: GeneratedTitle) -> None:
        text = title.model_dump_json()
        await _put(self._redis, title=keys.title(title_id), text=text, ttl_ms=_TTL_MS)

    async def read(self, title_id: str) -> GeneratedTitle | None:
        text: bytes | None = await self._redis.execute_command("GET", keys.title(title_id))
        return GeneratedTitle.model_validate_json(text) if text else None

    async def delete(self, title_id: str) -> None:
        await self._redis.execute_command("DEL", keys.title(title_id))


# Stores a title and publishes it on the channel with the key's name.
@redis_script("""
redis.call('SET', title, text, 'PX', ttl_ms)
redis.call('PUBLISH', title, text)
""")
def _put(*, title: Key, text: str, ttl_ms: int) -> None: ...
