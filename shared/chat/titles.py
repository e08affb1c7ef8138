"""Titles of chats: what one looks like, and how a worker's comes back to the API that waits."""

import re

from pydantic import BaseModel, ConfigDict

from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Key, redis_script

UNTITLED = "New chat"

#: What was made is kept for a waiting process that missed its publication. In milliseconds.
_KEPT_MS = 10_000

_PREFIX = re.compile(r"^(title|subject)\s*:\s*", re.IGNORECASE)
_MARKS = " \t#*_`\"'“”„‘’«»<>"
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")


class GeneratedTitle(BaseModel):
    """A worker's answer; without a title where the model gave none."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: str | None


class TitleStore:
    """Where workers put titles. Each is read once, by the process that asked for it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def save(self, title_id: str, title: GeneratedTitle) -> None:
        text = title.model_dump_json()
        await _put(self._redis, title=keys.title(title_id), text=text, ttl_ms=_KEPT_MS)

    async def read(self, title_id: str) -> GeneratedTitle | None:
        text: bytes | None = await self._redis.execute_command("GET", keys.title(title_id))
        return GeneratedTitle.model_validate_json(text) if text else None

    async def delete(self, title_id: str) -> None:
        await self._redis.execute_command("DEL", keys.title(title_id))


def clean_title(text: str, max_length: int) -> str:
    """A text as a title: one plain line, without a full stop, cut at a word. May be empty."""
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
    kept = text[: max_length - 1]
    words, space, _ = text[:max_length].rpartition(" ")
    # A language without spaces, or one endless word, is cut where it must be.
    if space and len(words) >= max_length // 2:
        kept = words
    return f"{kept.rstrip(' ,;:.-–—')}…"


# Stores a title and publishes it on the channel with the key's name.
@redis_script("""
redis.call('SET', title, text, 'PX', ttl_ms)
redis.call('PUBLISH', title, text)
""")
def _put(*, title: Key, text: str, ttl_ms: int) -> None: ...
