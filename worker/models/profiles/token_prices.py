"""Prices of models: those of the settings, or else the public ones that pydantic-ai uses."""

from contextlib import suppress
from decimal import Decimal
from typing import NamedTuple

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.usage import RequestUsage

from shared.providers.names import OPENAI, ModelName, configured_price, provider_of
from shared.settings import Settings
from worker.models.chat.chat_model import ChatModel

_SAMPLE = 1000


class TokenPrices(NamedTuple):
    """US dollars per token."""

    input: Decimal
    output: Decimal

    def cost(self, input_tokens: int, output_tokens: int) -> Decimal:
        return self.input * input_tokens + self.output * output_tokens


def token_prices(model: Model) -> TokenPrices | None:
    """Return the prices of a model's tokens, of the first model of a chain, or None if unknown.

    They are for estimates: caching and the size of a request can change the real price.
    """
    model = _first(model)
    if isinstance(model, ChatModel) and model.price is not None:
        return TokenPrices(model.price.cost(1, 0), model.price.cost(0, 1))
    return _public_prices(model.model_name, model.system, model.base_url)


def is_price_known(settings: Settings, name: ModelName) -> bool:
    """Return whether the cost of a model's answers is known."""
    if configured_price(settings, name) is not None:
        return True
    provider = provider_of(settings, name.provider)
    provider_name = OPENAI if provider.kind == OPENAI else provider.name
    return _public_prices(name.model, provider_name, provider.base_url) is not None


def _first(model: Model) -> Model:
    while isinstance(model, WrapperModel | FallbackModel):
        model = model.wrapped if isinstance(model, WrapperModel) else model.models[0]
    return model


def _public_prices(model: str, provider: str, url: str | None) -> TokenPrices | None:
    def cost(usage: RequestUsage) -> Decimal:
        response = ModelResponse(
            parts=[], usage=usage, model_name=model, provider_name=provider, provider_url=url
        )
        return response.cost().total_price

    with suppress(LookupError, ValueError):
        both = cost(RequestUsage(input_tokens=_SAMPLE, output_tokens=_SAMPLE))
        only_input = cost(RequestUsage(input_tokens=_SAMPLE))
        return TokenPrices(only_input / _SAMPLE, (both - only_input) / _SAMPLE)
    return None
