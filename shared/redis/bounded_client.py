"""A Redis client whose calls have a time limit."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.redis.client import Argument, Pipeline, PipelineWrapper, Redis

#: Short enough for a person who waits for the response, or for an answer to continue. A call that
#: takes longer closes its connection, which may be half-open, so the next call opens another one.
REQUEST_SECONDS = 3.0


class BoundedClient:
    """Limits each call of a client, including its retries and the wait for a connection."""

    def __init__(self, client: Redis, *, seconds: float = REQUEST_SECONDS) -> None:
        self._client = client
        self._seconds = seconds

    async def execute_command(self, *args: Argument) -> Any:  # noqa: ANN401  (any reply)
        async with _limit(self._seconds):
            return await self._client.execute_command(*args)

    def pipeline(self, *, transaction: bool = True) -> Pipeline:
        return _BoundedPipeline(self._client.pipeline(transaction=transaction), self._seconds)

    async def aclose(self) -> None:
        await self._client.aclose()


class _BoundedPipeline(PipelineWrapper):
    def __init__(self, pipeline: Pipeline, seconds: float) -> None:
        super().__init__(pipeline)
        self._seconds = seconds

    async def execute(self, *, raise_on_error: bool = True) -> list[Any]:
        async with _limit(self._seconds):
            return await self._pipeline.execute(raise_on_error=raise_on_error)


@asynccontextmanager
async def _limit(seconds: float) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise RedisTimeoutError("Redis does not respond.") from None
