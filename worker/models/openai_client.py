"""The official OpenAI client, made quick, and able to tell a whole answer from a broken one."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import TypeVar

import httpx2
from openai import APIError, AsyncOpenAI, DefaultAioHttpClient
from openai._streaming import ServerSentEvent, SSEDecoder
from openai.types.chat import ChatCompletionChunk
from pydantic import ValidationError

from worker.models.chunk import is_readable

_T = TypeVar("_T")

#: What the client sends where an endpoint wants no key: it cannot do without.
NO_KEY = "none"

_UNREADABLE = "The endpoint sent a chunk that cannot be read."

_END = re.compile(r'^\[DONE\]|"finish_reason": ?"[^"]|^\{\s*"error"')
#: How vLLM once said that it failed, in the middle of an answer.
_OLD_ERROR = re.compile(r'^\{\s*"object": ?"error"')


def open_client(
    base_url: str,
    *,
    api_key: str | None,
    headers: Mapping[str, str],
    timeout: float | None,
    connect_timeout: float,
) -> AsyncOpenAI:
    """Time-outs are in seconds: `timeout` is the longest silence on an open connection."""
    limits = httpx2.Timeout(timeout, connect=connect_timeout)
    return _QuickOpenAI(
        api_key=api_key or NO_KEY,
        base_url=base_url,
        timeout=limits,
        max_retries=0,  # retries are the run's own: they survive the worker
        default_headers=headers,
        http_client=DefaultAioHttpClient(timeout=limits),
    )


class WholeStreams(SSEDecoder):
    """Tells an answer from one that broke off, which the SDK takes for whole.

    A stream that has ended in good order says so: by a finish reason, by `[DONE]`, or by an error.
    """

    async def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
        whole = False
        async for event in super().aiter_bytes(iterator):
            if not event.data:
                continue  # the event of a comment
            if _OLD_ERROR.match(event.data):
                event = ServerSentEvent(data=json.dumps({"error": event.json()}))  # noqa: PLW2901
            whole = whole or _END.search(event.data) is not None
            yield _Readable(event=event.event, data=event.data, id=event.id, retry=event.retry)
        if not whole:
            raise httpx2.RemoteProtocolError("the stream ended before the answer did")


class _Readable(ServerSentEvent):
    def json(self) -> object:
        """Nested without an end, or with numbers of thousands of digits, is no JSON to us."""
        try:
            return super().json()
        except (RecursionError, ValueError):
            raise json.JSONDecodeError("the chunk is no JSON", "", 0) from None


class _QuickOpenAI(AsyncOpenAI):
    """Validates streamed chunks by pydantic, which takes a fifth of the SDK's own way.

    What does not fit the schema, as of a lenient endpoint, goes the SDK's way as before: it builds
    whatever it is given. What nobody could read then is an error of the endpoint.
    """

    def _make_sse_decoder(self) -> SSEDecoder:
        return WholeStreams()

    def _process_response_data(
        self, *, data: object, cast_to: type[_T], response: httpx2.Response
    ) -> _T:
        if cast_to is ChatCompletionChunk:
            try:
                return cast_to.model_validate(data)
            except ValidationError:
                if not is_readable(data):
                    raise APIError(_UNREADABLE, response.request, body=None) from None
        return super()._process_response_data(data=data, cast_to=cast_to, response=response)
