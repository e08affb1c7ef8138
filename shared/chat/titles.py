"""Chat titles: their format, and their transfer from a worker to the waiting API process."""

import re

from pydantic import BaseModel, ConfigDict

from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Key, redis_script

UNTITLED = "New chat"

#: Time to live of a title, for an API process that missed its publication. In milliseconds.
_TTL_MS = 10_000

_PREFIX = re.compile(r"^(title|subject)\s*:\s*", re.IGNORECASE)
_MARKS = " \t#*_`\"'“”„‘’«»<>"
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")


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


def clean_title(text: str, max_length: int) -> str:
    """Convert a text to a title: one plain line without a final period, cut at a word boundary.

    The result may be empty.
    """
    for line in text.splitlines():
        plain = " ".join(_INVISIBLE.sub(" ", line).split()).strip(_MARKS)
        plain = _PREFIX.sub("", plain).strip(_MARKS)
        if not plain.endswith("..."):
            plain = plain.rstrip(".").rstrip(_MARKS)
        if plain:
            return _cut(plain, max_length)
    return ""


def _cut(text: str, max_length: int) -> str:
    if len(text) <= max_length:
        return text
    shortened = text[: max_length - 1]
    words, space, _ = text[:max_length].rpartition(" ")
    # Text without spaces is cut within a word.
    if space and len(words) >= max_length // 2:
        shortened = words
    return f"{shortened.rstrip(' ,;:.-–—')}…"


# Stores a title and publishes it on the channel with the key's name.
@redis_script("""
redis.call('SET', title, text, 'PX', ttl_ms)
redis.call('PUBLISH', title, text)
""")
def _put(*, title: Key, text: str, ttl_ms: int) -> None: ...
