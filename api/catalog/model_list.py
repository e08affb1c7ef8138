"""The models that can be asked, from the settings and from what the providers themselves list."""

import re
import time
from collections.abc import Iterable

from pydantic import BaseModel, Field

from shared.providers.health import ProviderReports
from shared.providers.names import ModelName, allowed, default_model, providers_of
from shared.redis.client import REDIS_AWAY, Redis
from shared.settings import Settings
from shared.settings.live_settings import LiveSettings

#: How long a list is given out as it is, so that many who ask cost Redis nothing.
_FRESH_SECONDS = 5.0

#: What providers list beside the models that chat.
_OTHERS = re.compile(
    r"embed|whisper|tts|transcribe|dall-e|moderation|rerank|realtime|(^|-)(image|audio)(-|$)"
    r"|^(babbage|davinci|sora)",
    re.IGNORECASE,
)


class Model(BaseModel):
    id: str = Field(examples=["openai/gpt-4o"], description="As `model` of a request takes it")
    name: str = Field(examples=["GPT-4o"], description="To show to people")
    provider: str = Field(examples=["openai"])
    default: bool = Field(description="Whether it answers requests that name no model")
    demo: bool = Field(description="Whether this is the built-in demo, not a real model")


DEMO = Model(id="demo", name="Demo", provider="mamba", default=True, demo=True)


class ModelList:
    def __init__(self, live: LiveSettings, redis: Redis) -> None:
        self._live = live
        self._reports = ProviderReports(redis, ttl=0)
        self._made: tuple[Settings, float, list[Model]] | None = None

    async def read(self) -> list[Model]:
        """The default first, then each provider's, as they are listed."""
        settings, now = self._live.now, time.monotonic()
        if self._made and self._made[0] is settings and now - self._made[1] < _FRESH_SECONDS:
            return self._made[2]
        models = [DEMO] if settings.openai.demo else await self._list(settings)
        self._made = (settings, now, models)
        return models

    async def _list(self, settings: Settings) -> list[Model]:
        default = default_model(settings)
        providers = providers_of(settings)
        told = await self._told(list(providers))
        names = dict.fromkeys([default])
        for provider in providers.values():
            # A provider that is configured for the workers alone is known by its report.
            if not provider.configured and provider.name not in told:
                continue
            listed = provider.settings.models or _chatting(told.get(provider.name, ()))
            own = (
                ModelName(provider.name, model.removeprefix(f"{provider.name}/"))
                for model in listed
            )
            names |= dict.fromkeys(name for name in own if allowed(settings, name))
        return [_model(name, default) for name in names]

    async def _told(self, providers: list[str]) -> dict[str, tuple[str, ...]]:
        try:
            return {report.name: report.models for report in await self._reports.read(providers)}
        except REDIS_AWAY:
            return {}


def _chatting(models: Iterable[str]) -> list[str]:
    return sorted(model for model in models if not _OTHERS.search(model))


def _model(name: ModelName, default: ModelName) -> Model:
    return Model(
        id=str(name),
        name=_shown(name.model),
        provider=name.provider,
        default=name == default,
        demo=False,
    )


def _shown(model: str) -> str:
    """`gpt-4o` is shown as `GPT-4o`, `meta-llama/Llama-3.2-3B` as `Llama-3.2-3B`."""
    return re.sub(r"^gpt-", "GPT-", model.rpartition("/")[2])
