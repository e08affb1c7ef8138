"""The retry policy: decides whether a failed attempt is retried, and after which delay.

The pause is exponential with full jitter: a random part of a bound that doubles with each failure.
Runs that fail at the same time are thus retried at different times.
"""

import random
from collections.abc import Callable

from shared.providers.names import parse_model_name, provider_of
from shared.settings import Settings
from worker.agents.definition import AgentDefinition
from worker.models.run_failures import Failure

_BASE_SECONDS = 0.5
_CAP_SECONDS = 8.0
#: Runs with the same `Retry-After` are spread over this share of it, and none starts earlier.
_SPREAD = 0.1


class RetryPolicy:
    """`max_retries` returns the number of retries of a model."""

    def __init__(self, max_retries: Callable[[str], int]) -> None:
        self._max_retries = max_retries
        self._rng = random.SystemRandom()

    def pause(
        self, failure: Failure, failures: int, limit: int, seconds_left: float
    ) -> float | None:
        """Return the seconds to wait before the next attempt, or None to fail the run.

        `failures` counts the earlier failures, of which the run tolerates `limit`.
        """
        pause = pause_after(failures, failure.retry_after, self._rng)
        retry = failure.worker_retries and failures < limit and pause < seconds_left
        return pause if retry else None

    def limit(self, definition: AgentDefinition, model: str) -> int:
        """Return how many failures a run of this agent and model survives."""
        retries = definition.retries.max_retries
        return self._max_retries(definition.model or model) if retries is None else retries


def max_retries_of(settings: Settings, model: str) -> int:
    """Return how often a run with this model is retried after failures."""
    provider = provider_of(settings, parse_model_name(settings, model).provider).settings
    return settings.run.max_retries if provider.max_retries is None else provider.max_retries


def pause_after(failures: int, retry_after: float | None, rng: random.Random) -> float:
    """Return the seconds to wait after a failure that follows `failures` others.

    `retry_after` is the number of seconds that the model requested.
    """
    if retry_after is not None:
        return retry_after * rng.uniform(1, 1 + _SPREAD)
    return rng.uniform(0, min(_CAP_SECONDS, _BASE_SECONDS * 2**failures))
