"""The settings of a request, as pydantic-ai's model settings."""

from collections.abc import Callable
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.settings import ModelSettings, ThinkingLevel

from shared.chat.call_settings import CallSettings


def requested_settings(
    settings: CallSettings,
) -> Callable[[RunContext[Any]], ModelSettings] | None:
    """Return a function that adds the settings of a request to those of the model and the agent.

    The request can lower the agent's limit of output tokens, but not raise it.
    """
    requested = _model_settings(settings)
    if not requested:
        return None

    def add(context: RunContext[Any]) -> ModelSettings:
        own = (context.model_settings or {}).get("max_tokens")
        wanted = requested.get("max_tokens")
        if own is None or wanted is None:
            return requested
        return {**requested, "max_tokens": min(own, wanted)}

    return add


def _model_settings(settings: CallSettings) -> ModelSettings:
    effort = settings.reasoning_effort
    thinking: ThinkingLevel | None = False if effort == "none" else effort
    fields: dict[str, object] = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_tokens": settings.max_output_tokens,
        "stop_sequences": [*settings.stop_sequences] if settings.stop_sequences else None,
        "seed": settings.seed,
        "thinking": thinking,
    }
    return ModelSettings(**{name: value for name, value in fields.items() if value is not None})  # pyright: ignore[reportArgumentType]  (typed by CallSettings)
