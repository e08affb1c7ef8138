"""A model behind any server that speaks OpenAI's chat completions."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, cast

from openai import AsyncStream
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import SecretStr
from pydantic_ai.profiles import ModelProfile as PydanticProfile

from shared.providers.names import OPENAI_URL
from shared.settings.sections.models import Kind
from worker.backends.model_backend import Message, ModelBackend, Tool
from worker.backends.response import ModelResponse, StreamChunk, Usage
from worker.models.chat_model import ChatModel
from worker.models.endpoint import Endpoint
from worker.models.errors import AuthenticationError, ModelBackendError, mapped
from worker.models.profile import ModelProfile, get_profile
from worker.models.stream_repair import REASONING, repaired

_HEALTH_SECONDS = 5.0


class OpenAICompatibleBackend(ModelBackend):
    """One model at one endpoint. Close it, or use it as an async context manager.

    `timeout` is the longest silence of the endpoint, in seconds. `profile` says what the model can
    do; unset, its name does. `kind` is whose server it is, where that is known.
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
        """The model's whole answer. Further options go into the request as they are.

        Raises:
            RateLimitError: if there are too many requests; it may say when to come back.
            AuthenticationError: if the key is missing, wrong, or not enough.
            ModelBackendError: if the endpoint fails otherwise, or cannot be reached.
        """
        request = self._request(messages, tools, temperature, max_tokens, kwargs)
        with self._mapped():
            answer: ChatCompletion = await self._create(stream=False, **request)
        if not answer.choices:
            raise ModelBackendError(
                "The model endpoint answered without a choice.", model=self.model
            )
        return _response(answer)

    async def stream(
        self,
        messages: list[Message],
        *,
        tools: list[Tool] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[StreamChunk]:
        """The model's answer as it is made; the last chunk, and no other, `is_final`.

        Raises:
            The errors of `complete`, also in the middle of an answer.
        """
        options = {"stream_options": {"include_usage": True}, **kwargs}
        request = self._request(messages, tools, temperature, max_tokens, options)
        with self._mapped():
            async with self._streaming(request) as chunks:
                async for chunk in _as_stream(repaired(chunks)):
                    yield chunk

    async def health_check(self) -> bool:
        """Whether the endpoint can be reached. One that refuses the key is there too."""
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
        """The same model for pydantic-ai's agents. It is usable until the backend is closed."""
        return self._endpoint.chat_model(self._model, profile=profile)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _mapped(self):  # noqa: ANN202  (contextlib's)
        return mapped(self._model, secrets=tuple(self._endpoint.secrets))

    def _request(
        self,
        messages: list[Message],
        tools: list[Tool] | None,
        temperature: float | None,
        max_tokens: int | None,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        longest = "max_completion_tokens" if self._uses_max_completion_tokens else "max_tokens"
        told = {"tools": tools or None, "temperature": temperature, longest: max_tokens}
        given = {name: value for name, value in told.items() if value is not None}
        return {"model": self._model, "messages": messages, **given, **options}

    @property
    def _uses_max_completion_tokens(self) -> bool:
        """A local server that serves a model named like OpenAI's does not know the newer field."""
        return self._endpoint.name == "openai" and self._profile.uses_max_completion_tokens

    async def _create(self, **request: Any) -> Any:  # noqa: ANN401  (whole or a stream)
        create = cast("Any", self._endpoint.client.chat.completions.create)
        known = {"model", "messages", "stream", "tools", "temperature", "stream_options"}
        known |= {"max_tokens", "max_completion_tokens"}
        body = {name: value for name, value in request.items() if name not in known}
        named = {name: value for name, value in request.items() if name in known}
        return await create(**named, extra_body=body or None)

    @asynccontextmanager
    async def _streaming(
        self, request: dict[str, Any]
    ) -> AsyncGenerator[AsyncIterable[ChatCompletionChunk]]:
        stream: AsyncStream[ChatCompletionChunk] = await self._create(stream=True, **request)
        try:
            yield stream
        finally:
            await stream.close()


def _response(answer: ChatCompletion) -> ModelResponse:
    choice = answer.choices[0]
    calls = [call.model_dump(exclude_none=True) for call in choice.message.tool_calls or ()]
    return ModelResponse(
        content=choice.message.content or "",
        tool_calls=calls or None,
        usage=_usage(answer.usage),
        model=answer.model,
        finish_reason=choice.finish_reason,
        reasoning=_reasoning(choice.message) or None,
    )


async def _as_stream(chunks: AsyncIterable[ChatCompletionChunk]) -> AsyncIterator[StreamChunk]:
    usage: Usage | None = None
    reason: str | None = None
    async for chunk in chunks:
        usage = _usage(chunk.usage) or usage
        if not chunk.choices:
            continue
        choice = chunk.choices[0]
        reason = choice.finish_reason or reason
        piece = _piece(chunk)
        if piece.content or piece.reasoning or piece.tool_calls:
            yield piece
    yield StreamChunk(is_final=True, usage=usage, finish_reason=reason)


def _piece(chunk: ChatCompletionChunk) -> StreamChunk:
    delta = chunk.choices[0].delta
    calls = [call.model_dump(exclude_none=True) for call in delta.tool_calls or ()]
    return StreamChunk(
        content=delta.content or "", tool_calls=calls or None, reasoning=_reasoning(delta)
    )


def _reasoning(said: object) -> str:
    """Ollama and vLLM say `reasoning`; others, after DeepSeek, `reasoning_content`."""
    texts = (getattr(said, name, None) for name in ("reasoning", REASONING))
    return next((text for text in texts if isinstance(text, str) and text), "")


def _usage(usage: CompletionUsage | None) -> Usage | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
