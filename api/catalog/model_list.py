"""The models that requests may name, from the settings and from the providers' own lists."""

import re
from collections.abc import Iterable

from pydantic import BaseModel, Field

from shared.providers.health import ProviderReports
from shared.providers.names import (
    DEMO_MODEL,
    ModelName,
    default_model,
    is_model_allowed,
    providers_of,
)
from shared.redis.client import REDIS_UNAVAILABLE, Redis
from shared.settings.live_settings import LiveSettings
from shared.single_flight import SingleFlightCache

_MAX_AGE_SECONDS = 5.0

#: Models that providers list but that cannot chat.
_NOT_CHAT_MODELS = re.compile(
    r"embed|whisper|tts|transcribe|dall-e|moderation|rerank|realtime|(^|-)(image|audio)(-|$)"
    r"|^(babbage|davinci|sora)",
    re.IGNORECASE,
)


class Model(BaseModel):
    id: str = Field(
        examples=["openai/gpt-4o"], description="Value for the `model` field of a request"
    )
    name: str = Field(examples=["GPT-4o"], description="Display name")
    provider: str = Field(examples=["openai"])
    default: bool = Field(description="Whether requests without a `model` use it")
    demo: bool = Field(description="Whether it is the built-in demo model")


DEMO = Model(id=DEMO_MODEL, name="Demo", provider="mamba", default=True, demo=True)


class ModelList:
    """Lists the models. Use one per process."""

    def __init__(self, live: LiveSettings, redis: Redis) -> None:
        self._live = live
        self._reports = ProviderReports(redis, ttl=0)
        self._cache = SingleFlightCache(self._load)
        live.on_change(lambda _: self._cache.invalidate())

    async def read(self) -> list[Model]:
        """Return the default model, then the models of each provider in its own order."""
        return await self._cache.get(max_age_seconds=_MAX_AGE_SECONDS)

    async def _load(self) -> list[Model]:
        settings = self._live.now
        if settings.openai.demo:
            return [DEMO]
        default = default_model(settings)
        providers = providers_of(settings)
        reported = await self._read_reports(list(providers))
        names = dict.fromkeys([default])
        for provider in providers.values():
            # A provider that only the workers are configured for appears in their report.
            if not provider.configured and provider.name not in reported:
                continue
            models = provider.settings.models or _chat_models(reported.get(provider.name, ()))
            prefix = f"{provider.name}/"
            listed = (ModelName(provider.name, model.removeprefix(prefix)) for model in models)
            names |= dict.fromkeys(name for name in listed if is_model_allowed(settings, name))
        return [_model(name, default) for name in names]

    async def _read_reports(self, providers: list[str]) -> dict[str, tuple[str, ...]]:
        try:
            return {report.name: report.models for report in await self._reports.read(providers)}
        except REDIS_UNAVAILABLE:
            return {}


def _chat_models(models: Iterable[str]) -> list[str]:
    return sorted(model for model in models if not _NOT_CHAT_MODELS.search(model))


def _model(name: ModelName, default: ModelName) -> Model:
    return Model(
        id=str(name),
        name=_display_name(name.model),
        provider=name.provider,
        default=name == default,
        demo=False,
    )


def _display_name(model: str) -> str:
    """Return `GPT-4o` for `gpt-4o` and `Llama-3.2-3B` for `meta-llama/Llama-3.2-3B`."""
    return re.sub(r"^gpt-", "GPT-", model.rpartition("/")[2])
