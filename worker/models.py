"""The models, by name: an OpenAI-compatible endpoint's, or the built-in demo."""

import re
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import TypeVar

import httpx2
from openai import AsyncOpenAI, DefaultAioHttpClient
from openai._streaming import ServerSentEvent, SSEDecoder
from openai.types.chat import ChatCompletionChunk
from pydantic import ValidationError
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from shared.errors import SettingsError
from shared.settings import OpenAISettings
from worker.demo import demo_model

_T = TypeVar("_T")

_END = re.compile(r'^\[DONE\]|"finish_reason": ?"|^\{"error"')


class Models:
    """Use as an async context manager: it holds the connections to the endpoint."""

    def __init__(self, settings: OpenAISettings) -> None:
        self._demo = demo_model() if settings.demo else None
        self._client = None if settings.demo else _client(settings)
        self._named = lru_cache(maxsize=256)(self._make)

    def get(self, name: str) -> Model:
        """The model of a `provider/model` or a bare name."""
        return self._demo or self._named(name.removeprefix("openai/"))

    def _make(self, name: str) -> Model:
        assert self._client is not None  # noqa: S101  (the demo answers for all names)
        return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=self._client))

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


def _client(settings: OpenAISettings) -> AsyncOpenAI:
    key = settings.api_key.get_secret_value() if settings.api_key else None
    if key is None and settings.base_url is None:
        raise SettingsError(
            "No model is configured. Set OPENAI_API_KEY, or MAMBA_OPENAI__BASE_URL to any "
            "OpenAI-compatible endpoint, or MAMBA_OPENAI__DEMO=true to try without one."
        )
    # How long a model may be silent is measured in its tokens (worker/pace.py), not in bytes.
    timeout = httpx2.Timeout(None, connect=settings.connect_timeout_seconds)
    return _QuickOpenAI(
        api_key=key or "none",
        base_url=settings.base_url,
        timeout=timeout,
        max_retries=0,  # retries are the run's own: they survive the worker
        http_client=DefaultAioHttpClient(timeout=timeout),
    )


class _WholeStreams(SSEDecoder):
    """Tells an answer from one that broke off, which the SDK takes for whole.

    A stream that has ended in good order says so: by a finish reason, or by `[DONE]`.
    """

    async def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
        whole = False
        async for event in super().aiter_bytes(iterator):
            whole = whole or _END.search(event.data) is not None
            yield event
        if not whole:
            raise httpx2.RemoteProtocolError("the stream ended before the answer did")


class _QuickOpenAI(AsyncOpenAI):
    """Validates streamed chunks by pydantic, which takes a fifth of the SDK's own way.

    What does not fit the schema, as of a lenient endpoint, goes the SDK's way as before.
    """

    def _make_sse_decoder(self) -> SSEDecoder:
        return _WholeStreams()

    def _process_response_data(
        self, *, data: object, cast_to: type[_T], response: httpx2.Response
    ) -> _T:
        if cast_to is ChatCompletionChunk:
            try:
                return cast_to.model_validate(data)
            except ValidationError:
                pass
        return super()._process_response_data(data=data, cast_to=cast_to, response=response)
