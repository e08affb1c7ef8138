"""An endpoint whose streams are given as chunks, without a connection."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
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


def fake_endpoint(create: Callable[..., Awaitable[FakeStream]]) -> Endpoint:
    """The endpoint, whose client now answers requests with `create`. It never connects."""
    endpoint = _endpoint()
    setattr(endpoint.client.chat.completions, "create", create)  # noqa: B010  (a method)
    return endpoint


@cache
def _endpoint() -> Endpoint:
    endpoint = Endpoint("p", "http://localhost:9/v1")  # takes 20 ms
    setattr(endpoint.client, "with_options", lambda **_: endpoint.client)  # noqa: B010  # pyright: ignore[reportUnknownLambdaType]
    return endpoint
