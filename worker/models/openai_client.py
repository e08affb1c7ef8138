"""The official OpenAI client, with faster chunk parsing and detection of truncated streams."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import TypeVar, cast

import httpx2
from openai import APIError, AsyncOpenAI, DefaultAioHttpClient
from openai._streaming import ServerSentEvent, SSEDecoder
from openai.types.chat import ChatCompletionChunk

from worker.models.chat.chunk import ChunkError, parse_chunk

_T = TypeVar("_T")

#: Placeholder for endpoints without a key, because the client requires one.
NO_KEY = "none"

_END_OF_STREAM = re.compile(r'^\[DONE\]|"finish_reason": ?"[^"]|^\{\s*"error"')
#: The mid-stream error format of older vLLM versions.
_OLD_ERROR = re.compile(r'^\{\s*"object": ?"error"')


def open_client(
    base_url: str,
    *,
    api_key: str | None,
    headers: Mapping[str, str],
    timeout: float | None,
    connect_timeout: float,
) -> AsyncOpenAI:
    """Time-outs are in seconds. `timeout` limits the silence on an open connection."""
    limits = httpx2.Timeout(timeout, connect=connect_timeout)
    return _FastOpenAI(
        api_key=api_key or NO_KEY,
        base_url=base_url,
        timeout=limits,
        max_retries=0,  # the run retries instead, which also works after the worker dies
        default_headers=headers,
        http_client=DefaultAioHttpClient(timeout=limits),
    )


class CompleteStreamDecoder(SSEDecoder):
    """Raises an error if a stream ends early, which the SDK treats as a complete response.

    A complete stream contains a finish reason, `[DONE]`, or an error.
    """

    async def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
        complete = False
        async for event in super().aiter_bytes(iterator):
            if not event.data:
                continue  # a comment
            if _OLD_ERROR.match(event.data):
                event = ServerSentEvent(data=json.dumps({"error": event.json()}))  # noqa: PLW2901
            complete = complete or _END_OF_STREAM.search(event.data) is not None
            yield _JsonEvent(event=event.event, data=event.data, id=event.id, retry=event.retry)
        if not complete:
            raise httpx2.RemoteProtocolError("the stream ended before the response was complete")


class _JsonEvent(ServerSentEvent):
    def json(self) -> object:
        """Report excessive nesting and huge numbers as invalid JSON."""
        try:
            return super().json()
        except (RecursionError, ValueError):
            raise json.JSONDecodeError("the chunk is invalid JSON", "", 0) from None


class _FastOpenAI(AsyncOpenAI):
    """Parses streamed chunks itself: in a fifth of the SDK's time, and with corrected fields."""

    def _make_sse_decoder(self) -> SSEDecoder:
        return CompleteStreamDecoder()

    def _process_response_data(
        self, *, data: object, cast_to: type[_T], response: httpx2.Response
    ) -> _T:
        if cast_to is ChatCompletionChunk:
            try:
                return cast("_T", parse_chunk(data))
            except ChunkError as error:
                raise APIError(str(error), response.request, body=None) from None
        return super()._process_response_data(data=data, cast_to=cast_to, response=response)
