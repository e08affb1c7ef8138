"""A backend for any server with OpenAI's chat completions API."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self, cast

from openai import AsyncStream
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel, SecretStr
from pydantic_ai.profiles import ModelProfile as PydanticProfile

from shared.providers.names import OPENAI_URL
from shared.settings.sections.models import Kind
from worker.backends.model_backend import Message, ModelBackend, Tool
from worker.backends.response import ModelResponse, StreamChunk, Usage
from worker.models.chat.chat_model import ChatModel
from worker.models.chat.reasoning import TAGGED_FIELD, reasoning_in
from worker.models.chat.stream_repair import repair_stream
from worker.models.endpoint import Endpoint
from worker.models.endpoint_errors import AuthenticationError, ModelBackendError
from worker.models.profiles.model_profile import ModelProfile, get_profile

_HEALTH_SECONDS = 5.0

#: Request fields that are passed as arguments of the SDK; all others go into the body unchecked.
_SDK_ARGUMENTS = frozenset(
    [
        "model",
        "messages",
        "stream",
        "tools",
        "temperature",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
    ]
)


class OpenAICompatibleBackend(ModelBackend):
    """One model at one endpoint. Use it as an async context manager, or call `close`.

    `timeout` limits the silence of the endpoint, in seconds. `profile` defaults to the profile for
    the model's name. `kind` is the type of the server, if known.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str = OPENAI_URL,
        api_key: SecretStr | str | None = None,
        timeout: float = 60.0,
        profile: ModelProfile | None = None,
        headers: Mapping[str, SecretStr] | None = None,
        kind: Kind | None = None,
    ) -> None:
        base_url = base_url.rstrip("/")
        key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        kind = kind or ("openai" if base_url == OPENAI_URL else "compatible")
        self._model = model
        self._profile = profile or get_profile(model)
        self._endpoint = Endpoint(
            kind if kind != "compatible" else "openai_compatible",
            base_url,
            kind=kind,
            api_key=key,
            headers=headers,
            timeout=timeout,
        )

    @property
    def name(self) -> str:
        return self._endpoint.name

    @property
    def model(self) -> str:
        return self._model

    @property
    def profile(self) -> ModelProfile:
        return self._profile

    def __repr__(self) -> str:
        return f"OpenAICompatibleBackend({self._model!r}, base_url={self._endpoint.base_url!r})"

    async def complete(
        self,
        messages: list[Message],
        *,
        tools: list[Tool] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> ModelResponse:
        """Return the model's complete response. Further options are added to the request body.

        Raises:
            RateLimitError: if the endpoint receives too many requests.
            AuthenticationError: if the key is missing, wrong, or lacks a permission.
            ModelBackendError: if the endpoint is unreachable or fails in another way.
        """
        request = self._request(messages, tools, temperature, max_tokens, kwargs)
        with self._endpoint.map_errors(self._model):
            completion: ChatCompletion = await self._create(stream=False, **request)
        if not completion.choices:
            raise ModelBackendError("The model endpoint returned no choices.", model=self.model)
        return _response(completion)

    async def stream(
        self,
        messages: list[Message],
        *,
        tools: list[Tool] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[StreamChunk]:
        """Stream the model's response. Only the last chunk `is_final`.

        Raises:
            The errors of `complete`, also during the response.
        """
        options = {"stream_options": {"include_usage": True}, **kwargs}
        request = self._request(messages, tools, temperature, max_tokens, options)
        with self._endpoint.map_errors(self._model):
            async with self._streaming(request) as chunks:
                async for chunk in _stream_chunks(repair_stream(chunks)):
                    yield chunk

    async def health_check(self) -> bool:
        """Return whether the endpoint is reachable, even if it rejects the key."""
        try:
            await self._endpoint.models(timeout=_HEALTH_SECONDS)
        except AuthenticationError:
            return True
        except ModelBackendError:
            return False
        return True

    async def close(self) -> None:
        await self._endpoint.close()

    def chat_model(self, *, profile: PydanticProfile | None = None) -> ChatModel:
        """Return a pydantic-ai model for use in agents. It works until the backend is closed."""
        return self._endpoint.chat_model(self._model, profile=profile)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def _request(
        self,
        messages: list[Message],
        tools: list[Tool] | None,
        temperature: float | None,
        max_tokens: int | None,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        limit = "max_completion_tokens" if self._uses_max_completion_tokens else "max_tokens"
        fields = {"tools": tools or None, "temperature": temperature, limit: max_tokens}
        present = {name: value for name, value in fields.items() if value is not None}
        return {"model": self._model, "messages": messages, **present, **options}

    @property
    def _uses_max_completion_tokens(self) -> bool:
        """Local servers may serve a model with an OpenAI name but lack the newer field."""
        return self._endpoint.name == "openai" and self._profile.uses_max_completion_tokens

    async def _create(self, **request: Any) -> Any:  # noqa: ANN401  (a completion or a stream)
        create = cast("Any", self._endpoint.client.chat.completions.create)
        arguments = {name: value for name, value in request.items() if name in _SDK_ARGUMENTS}
        extra = {name: value for name, value in request.items() if name not in _SDK_ARGUMENTS}
        return await create(**arguments, extra_body=extra or None)

    @asynccontextmanager
    async def _streaming(
        self, request: dict[str, Any]
    ) -> AsyncGenerator[AsyncIterable[ChatCompletionChunk]]:
        stream: AsyncStream[ChatCompletionChunk] = await self._create(stream=True, **request)
        try:
            yield stream
        finally:
            await stream.close()


def _response(completion: ChatCompletion) -> ModelResponse:
    choice = completion.choices[0]
    calls = [call.model_dump(exclude_none=True) for call in choice.message.tool_calls or ()]
    return ModelResponse(
        content=choice.message.content or "",
        tool_calls=calls or None,
        usage=_usage(completion.usage),
        model=completion.model,
        finish_reason=choice.finish_reason,
        reasoning=_reasoning(choice.message) or None,
    )


async def _stream_chunks(chunks: AsyncIterable[ChatCompletionChunk]) -> AsyncIterator[StreamChunk]:
    usage: Usage | None = None
    reason: str | None = None
    async for chunk in chunks:
        usage = _usage(chunk.usage) or usage
        if not chunk.choices:
            continue
        choice = chunk.choices[0]
        reason = choice.finish_reason or reason
        stream_chunk = _stream_chunk(chunk)
        if stream_chunk.content or stream_chunk.reasoning or stream_chunk.tool_calls:
            yield stream_chunk
    yield StreamChunk(is_final=True, usage=usage, finish_reason=reason)


def _stream_chunk(chunk: ChatCompletionChunk) -> StreamChunk:
    delta = chunk.choices[0].delta
    calls = [call.model_dump(exclude_none=True) for call in delta.tool_calls or ()]
    return StreamChunk(
        content=delta.content or "", tool_calls=calls or None, reasoning=_reasoning(delta)
    )


def _reasoning(message: BaseModel) -> str:
    fields = message.model_extra or {}
    return reasoning_in(fields, TAGGED_FIELD)[1]


def _usage(usage: CompletionUsage | None) -> Usage | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
