"""An endpoint whose streams are given as chunks, without a connection."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

from openai.types.chat import ChatCompletionChunk

from worker.models.endpoint import Endpoint


class FakeStream:
    """The stream of an answer, as the SDK returns it."""

    def __init__(self, chunks: AsyncIterator[ChatCompletionChunk]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        return self._chunks

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def close(self) -> None:
        pass


@asynccontextmanager
async def fake_endpoint(create: Callable[..., Awaitable[FakeStream]]) -> AsyncGenerator[Endpoint]:
    """An endpoint whose client answers requests with `create`."""
    endpoint = Endpoint("p", "http://localhost:9/v1")
    setattr(endpoint.client.chat.completions, "create", create)  # noqa: B010  (a method)
    setattr(endpoint.client, "with_options", lambda **_: endpoint.client)  # noqa: B010  # pyright: ignore[reportUnknownLambdaType]
    try:
        yield endpoint
    finally:
        await endpoint.close()
