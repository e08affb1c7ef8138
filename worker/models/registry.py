"""Looks up models by name: models of OpenAI-compatible endpoints, or the built-in demo model."""

import asyncio
import weakref
from contextlib import suppress

import structlog
from openai import AsyncOpenAI
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelNotFoundError,
    ModelRequestRejectedError,
)
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.settings import ModelSettings

from shared.errors import SettingsError
from shared.providers.names import (
    OPENAI,
    ModelName,
    Provider,
    configured_price,
    fallback_chain,
    has_usable_model,
    parse_model_name,
    provider_of,
    providers_of,
)
from shared.settings import Settings
from shared.settings.live_settings import LiveSettings
from worker.models.chat.chat_model import ANSWERED_BY, ChatModel
from worker.models.demo_model import demo_model
from worker.models.endpoint import Endpoint
from worker.models.profiles.profile_settings import profile_overrides
from worker.models.run_failures import upstream_error_of
from worker.models.traced_model import TracedModel, traced
from worker.models.transport.error_texts import REQUEST_REASONS
from worker.models.transport.unusable_response import UnusableResponse

log = structlog.stdlib.get_logger()

#: Requests can name any number of models, so the cache is bounded.
_MAX_CACHED_MODELS = 256


class ModelRegistry:
    """Creates models, and owns the connections to their endpoints. Close it after use.

    A provider's endpoint is opened when one of its models is first requested. After a change of the
    provider's settings, new runs use a new endpoint; runs in progress keep the old one.
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
        """Return a model, with its fallbacks, by `provider/model` or by a bare name.

        The next fallback is tried as soon as a model fails before its first event. The run itself
        retries, after a pause and from the start of the chain, only if all models fail.

        Raises:
            ModelNotFoundError: if its provider is not configured.
        """
        settings = self._live.now
        if settings.openai.demo:
            return traced(self._demo)
        chain = fallback_chain(settings, parse_model_name(settings, name))
        if len(chain) == 1:
            return traced(self._cached_model(settings, chain[0]))
        models = (self._cached_model(settings, name, in_chain=True) for name in chain)
        return traced(FallbackModel(*models, fallback_on=_tries_next_model))

    def answered_by(self, requested: str, response: ModelResponse) -> str:
        """Return the name of the model that sent a response.

        It differs from the requested one if a fallback answered.
        """
        name = (response.metadata or {}).get(ANSWERED_BY)
        if name is None:  # the demo model, or a model that the agent's author created
            return response.model_name or requested
        return requested if name == str(parse_model_name(self._live.now, requested)) else str(name)

    async def close(self) -> None:
        self._models.clear()
        self._endpoints.clear()
        for client in list(self._clients):
            await client.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _cached_model(
        self, settings: Settings, name: ModelName, *, in_chain: bool = False
    ) -> Model:
        key = name, in_chain
        if (model := self._models.get(key)) is None:
            model = self._models[key] = self._create_model(settings, name, in_chain=in_chain)
        return model

    def _create_model(self, settings: Settings, name: ModelName, *, in_chain: bool) -> Model:
        provider = provider_of(settings, name.provider)
        if provider.name == OPENAI and not provider.configured:
            raise ModelNotFoundError(str(name), "OpenAI is not configured")
        if len(self._models) >= _MAX_CACHED_MODELS:
            self._models.clear()
        return self._endpoint(provider).chat_model(
            name.model,
            profile=profile_overrides(provider.settings.profile),
            settings=_fallback_settings(provider) if in_chain else None,
            price=configured_price(settings, name),
        )

    def _endpoint(self, provider: Provider) -> Endpoint:
        if (cached := self._endpoints.get(provider.name)) is not None:
            return cached[1]
        endpoint = open_endpoint(provider)
        self._endpoints[provider.name] = (provider, endpoint)
        self._clients.add(endpoint.client)
        # Models reference their endpoint, so it is collected after its last model and stream.
        weakref.finalize(endpoint, self._close_client, endpoint.client).atexit = False
        return endpoint

    def _close_client(self, client: AsyncOpenAI) -> None:
        with suppress(RuntimeError):  # at process exit, the event loop is already closed
            task = asyncio.get_running_loop().create_task(client.close(), name="close-endpoint")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _on_change(self, settings: Settings) -> None:
        now = providers_of(settings)
        for name, (provider, _) in list(self._endpoints.items()):
            if now.get(name) != provider:
                log.info(
                    "models.provider_changed",
                    message="Provider settings changed; new runs use the new endpoint",
                    provider=name,
                )
                del self._endpoints[name]
        self._models.clear()


def streams_unchanged(model: Model | None) -> bool:
    """Return whether the events of a model's stream are those of a `ChatModel`.

    Other classes, such as a wrapper by the agent's author, may change them.
    """
    if type(model) is TracedModel:
        return streams_unchanged(model.wrapped)
    if type(model) is FallbackModel:
        return all(map(streams_unchanged, model.models))
    return type(model) is ChatModel


def open_endpoint(provider: Provider) -> Endpoint:
    settings = provider.settings
    return Endpoint(
        provider.name,
        provider.base_url,
        kind=provider.kind,
        api_key=settings.api_key,
        headers=settings.headers,
        # worker/models/stream_timeouts.py limits the silence between tokens instead of bytes.
        timeout=None,
        connect_timeout=settings.connect_timeout_seconds,
    )


def _fallback_settings(provider: Provider) -> ModelSettings:
    """Limit the first-token wait of each model in a chain, so that the next one is tried."""
    return ModelSettings(first_event_timeout=provider.settings.first_token_timeout_seconds)


def _check_default(settings: Settings) -> None:
    if not has_usable_model(settings):
        raise SettingsError(
            "No model is configured. Set OPENAI_API_KEY, or MAMBA_OPENAI__BASE_URL to any "
            "OpenAI-compatible endpoint, or MAMBA_OPENAI__DEFAULT_MODEL to a model of another "
            "provider such as ollama/llama3.2, or MAMBA_OPENAI__DEMO=true to try without one."
        )


def _tries_next_model(error: Exception) -> bool:
    """Return whether the next model may succeed: not after an error of the request itself.

    A rejected key or a missing model is a problem of one endpoint, not of the request.
    """
    upstream = upstream_error_of(error)
    if upstream is not None and upstream.reason is not None:
        return upstream.reason not in REQUEST_REASONS
    if isinstance(error, ModelAuthenticationError | ModelNotFoundError | UnusableResponse):
        return True
    return isinstance(error, ModelAPIError) and not isinstance(error, ModelRequestRejectedError)
