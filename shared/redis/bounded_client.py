"""A Redis client whose calls have a time limit."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Literal

from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.redis.client import Argument, Pipeline, PipelineWrapper, Redis

#: Short enough for a person who waits for the response, or for an answer to continue. A call that
#: takes longer closes its connection, which may be half-open, so the next call opens another one.
REQUEST_SECONDS = 3.0
_UNLIMITED = 2**31


class BoundedClient:
    """Limits each call of a client, including its retries.

    At most `max_calls` are made at once: the connections of its pool. The others wait, in order,
    for as long as calls succeed: a process with hundreds of calls is busy, but its Redis is
    available. If no call succeeds within the limit, they fail too. Without `max_calls`, the time
    limit includes the wait for a connection.
    """

    def __init__(
        self, client: Redis, *, seconds: float = REQUEST_SECONDS, max_calls: int | None = None
    ) -> None:
        self._client = client
        self._limit = _CallLimit(seconds, max_calls)

    async def execute_command(self, *args: Argument) -> Any:  # noqa: ANN401  (any reply)
        async with self._limit.call():
            return await self._client.execute_command(*args)

    def pipeline(self, *, transaction: bool = True) -> Pipeline:
        return _BoundedPipeline(self._client.pipeline(transaction=transaction), self._limit)

    async def aclose(self) -> None:
        await self._client.aclose()


class _CallLimit:
    def __init__(self, seconds: float, max_calls: int | None) -> None:
        self._seconds = seconds
        self._free = asyncio.Semaphore(max_calls or _UNLIMITED)
        self._succeeded_at = 0.0

    @asynccontextmanager
    async def call(self) -> AsyncGenerator[None]:
        began = time.monotonic()
        await self._acquire(began)
        try:
            async with asyncio.timeout(self._seconds_left(began)):
                yield
            self._succeeded_at = time.monotonic()
        except TimeoutError:
            raise RedisTimeoutError("Redis does not respond.") from None
        finally:
            self._free.release()

    async def _acquire(self, began: float) -> None:
        if not self._free.locked():
            await self._free.acquire()  # at once
            return
        slot = asyncio.ensure_future(self._free.acquire())
        try:
            await self._wait_for(slot, began)
        except BaseException:
            if not slot.cancel():  # acquired meanwhile
                self._free.release()
            raise

    async def _wait_for(self, slot: asyncio.Future[Literal[True]], began: float) -> None:
        while (seconds := self._seconds_left(began)) > 0:
            await asyncio.wait([slot], timeout=seconds)
            if slot.done():
                return
        raise RedisTimeoutError("Redis does not respond.")

    def _seconds_left(self, began: float) -> float:
        """Return the limit minus the time since the call began or another one succeeded."""
        return max(began, self._succeeded_at) + self._seconds - time.monotonic()


class _BoundedPipeline(PipelineWrapper):
    def __init__(self, pipeline: Pipeline, limit: _CallLimit) -> None:
        super().__init__(pipeline)
        self._limit = limit

    async def execute(self, *, raise_on_error: bool = True) -> list[Any]:
        async with self._limit.call():
            return await self._pipeline.execute(raise_on_error=raise_on_error)
