"""The models, by name: an OpenAI-compatible endpoint's, or the built-in demo."""

import asyncio
import weakref
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from openai import AsyncOpenAI
from pydantic_ai.exceptions import (
    FallbackExceptionGroup,
    ModelAPIError,
    ModelAuthenticationError,
    ModelNotFoundError,
    ModelRequestRejectedError,
)
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import RunContext

from shared.errors import SettingsError
from shared.providers.names import (
    OPENAI,
    ModelName,
    Provider,
    answers,
    fallback_chain,
    model_name,
    providers_of,
)
from shared.settings import Settings
from shared.settings.live_settings import LiveSettings
from worker.jobs.failures import failure_of
from worker.models.demo_model import demo_model
from worker.models.endpoint import Endpoint
from worker.models.profile import overrides

log = structlog.stdlib.get_logger()


class ModelRegistry:
    """Use as an async context manager: it holds the connections to the endpoints.

    Each provider's endpoint is opened when a model of it is first asked for. When its settings
    change, the next to ask gets a new one; an answer that is being made keeps the old to its end.
    """

    def __init__(self, live: LiveSettings) -> None:
        self._live = live
        self._demo = demo_model()
        self._endpoints: dict[str, tuple[Provider, Endpoint]] = {}
        self._models: dict[tuple[ModelName, bool], Model] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._clients: weakref.WeakSet[AsyncOpenAI] = weakref.WeakSet()
        _check_default(live.now)
        live.on_change(self._on_change)

    @property
    def demo(self) -> bool:
        return self._live.now.openai.demo

    def get(self, name: str) -> Model:
        """The model of a `provider/model` or a bare name, with what stands in for it.

        Raises:
            ModelNotFoundError: if its provider is not configured.
        """
        settings = self._live.now
        if settings.openai.demo:
            return self._demo
        chain = fallback_chain(settings, model_name(settings, name))
        if len(chain) == 1:
            return self._one(settings, chain[0])
        return _Chain(*(self._one(settings, each, chained=True) for each in chain))

    async def close(self) -> None:
        self._models.clear()
        self._endpoints.clear()
        for client in list(self._clients):
            await client.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _one(self, settings: Settings, name: ModelName, *, chained: bool = False) -> Model:
        if (model := self._models.get((name, chained))) is None:
            model = self._models[name, chained] = self._make(settings, name, chained=chained)
        return model

    def _make(self, settings: Settings, name: ModelName, *, chained: bool) -> Model:
        provider = providers_of(settings)[name.provider]
        if provider.name == OPENAI and not provider.configured:
            raise ModelNotFoundError(str(name), "OpenAI is not configured")
        if len(self._models) >= _KEPT:
            self._models.clear()
        return self._endpoint(provider).chat_model(
            name.model,
            profile=overrides(provider.settings.profile),
            settings=_turn(provider) if chained else None,
        )

    def _endpoint(self, provider: Provider) -> Endpoint:
        if (held := self._endpoints.get(provider.name)) is not None:
            return held[1]
        endpoint = open_endpoint(provider)
        self._endpoints[provider.name] = (provider, endpoint)
        self._clients.add(endpoint.client)
        # Every model holds its endpoint: when the last of them is gone, so are its streams.
        weakref.finalize(endpoint, self._retire, endpoint.client).atexit = False
        return endpoint

    def _retire(self, client: AsyncOpenAI) -> None:
        with suppress(RuntimeError):  # at the end of the process there is no loop any more
            task = asyncio.get_running_loop().create_task(client.close(), name="close-endpoint")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _on_change(self, settings: Settings) -> None:
        now = providers_of(settings)
        for name, (provider, _) in list(self._endpoints.items()):
            if now.get(name) != provider:
                log.info("models.provider_changed", provider=name)
                del self._endpoints[name]
        self._models.clear()


def open_endpoint(provider: Provider) -> Endpoint:
    settings = provider.settings
    return Endpoint(
        provider.name,
        provider.base_url,
        kind=provider.kind,
        api_key=settings.api_key,
        headers=settings.headers,
        # Silence is measured in tokens (worker/models/stream_timeouts.py), not in bytes.
        timeout=None,
        connect_timeout=settings.connect_timeout_seconds,
    )


def _turn(provider: Provider) -> ModelSettings:
    """In a chain each model has its own time to begin: then it is the next one's turn."""
    return ModelSettings(first_event_timeout=provider.settings.first_token_timeout_seconds)


#: Models that are held ready at most: requests may name as many as they like.
_KEPT = 256


def _check_default(settings: Settings) -> None:
    if not answers(settings):
        raise SettingsError(
            "No model is configured. Set OPENAI_API_KEY, or MAMBA_OPENAI__BASE_URL to any "
            "OpenAI-compatible endpoint, or MAMBA_OPENAI__DEFAULT_MODEL to a model of another "
            "provider such as ollama/llama3.2, or MAMBA_OPENAI__DEMO=true to try without one."
        )


class _Chain(FallbackModel):
    """Asks the next model as soon as one fails before its first event.

    It goes before the run's own retry: only when all have failed is there a pause, and then the
    whole chain is asked again.
    """

    def __init__(self, *models: Model) -> None:
        super().__init__(*models, fallback_on=_another_may_do)

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        try:
            return await super().request(messages, model_settings, model_request_parameters)
        except FallbackExceptionGroup as group:
            raise _most_hopeful(group) from group

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        try:
            async with super().request_stream(
                messages, model_settings, model_request_parameters, run_context
            ) as response:
                yield response
        except FallbackExceptionGroup as group:
            raise _most_hopeful(group) from group


def _another_may_do(error: Exception) -> bool:
    """All but what is wrong with the request itself: too long a conversation, a refused content.

    A key that is refused, and a model that is not there, are the endpoint's own.
    """
    if isinstance(error, ModelAuthenticationError | ModelNotFoundError):
        return True
    return isinstance(error, ModelAPIError) and not isinstance(error, ModelRequestRejectedError)


def _most_hopeful(group: FallbackExceptionGroup) -> Exception:
    """Of all models' errors the one that is over first; the first model's, if none is retried."""
    errors: list[Exception] = [e for e in group.exceptions if isinstance(e, Exception)]
    retried = [error for error in errors if failure_of(error).retried]
    return min(retried, key=lambda e: failure_of(e).retry_after or 0.0, default=errors[0])
