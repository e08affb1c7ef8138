"""A cache of one value that many callers share."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

_ValueT = TypeVar("_ValueT")


class SingleFlightCache(Generic[_ValueT]):
    """Caches the result of an asynchronous function; concurrent callers share one call of it."""

    def __init__(self, load: Callable[[], Awaitable[_ValueT]]) -> None:
        self._load = load
        self._task: asyncio.Task[_ValueT] | None = None
        self._loaded_at = float("-inf")
        #: The value that was loaded last, however old; None before the first.
        self.latest: _ValueT | None = None

    async def get(self, *, max_age_seconds: float) -> _ValueT:
        """Return the cached value, or load it if it is older than `max_age_seconds`.

        An error of the load is raised to the callers that wait for it, and is not cached.
        """
        task = self._task
        if task is None or (task.done() and time.monotonic() - self._loaded_at > max_age_seconds):
            task = self._task = asyncio.create_task(self._reload())
        # Without the shield, a cancelled caller would cancel the load for the others.
        return await asyncio.shield(task)

    def invalidate(self) -> None:
        """Make the next `get` load the value, even while an earlier load is in progress."""
        self._task = None

    async def _reload(self) -> _ValueT:
        self._loaded_at = float("-inf")
        self.latest = value = await self._load()
        self._loaded_at = time.monotonic()
        return value
