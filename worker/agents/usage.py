"""Usage of a run over all its attempts. A crash must not reset the budget."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic_ai import UsageLimits
from pydantic_ai.usage import RunUsage
from pydantic_core import from_json, to_json

from shared.redis.client import REDIS_UNAVAILABLE, RedisError
from shared.runs.store import RunStore
from shared.streams.transcript import Transcript
from worker.telemetry.metrics import count_usage

_usage: TypeAdapter[RunUsage] = TypeAdapter(RunUsage)


class UsageSummary(NamedTuple):
    """What all attempts of a run have used, and the model that answered last."""

    usage: RunUsage
    model: str


class UsageMeter:
    """Counts the usage of one attempt.

    Steps are counted from the stream, tokens and cost from the run's hash. The usage of a model
    request that broke off is unknown, because endpoints report it at the end.
    """

    def __init__(
        self,
        runs: RunStore,
        run_id: str,
        attempt: int,
        model: str,
        store: Callable[[str], None],
        *,
        continues: Sequence[str] = (),
    ) -> None:
        """`store` stores the usage of this attempt, in JSON."""
        self._runs = runs
        self._store = store
        #: The runs that this one continues. They share its limits.
        self._continues = continues
        self._run_id = run_id
        self._attempt = attempt
        self._before = RunUsage()
        self._model = model
        #: The model that answered last, if one has.
        self._answered_by: str | None = None
        self._counted = RunUsage()

    async def begin(self, transcript: Transcript, limits: UsageLimits) -> RunUsage:
        """Return the usage of earlier attempts and of continued runs."""
        limited = limits.has_token_limits() or limits.cost_limit is not None
        runs = [*self._continues, *([self._run_id] if self._attempt > 1 else [])]
        for run_id in runs if limited else ():
            for text in (await self._runs.usages(run_id)).values():
                with suppress(ValidationError):
                    self._before.incr(_usage.validate_json(text))
        self._before.requests = sum(step.finished or bool(step.calls) for step in transcript.steps)
        self._counted = self._before + RunUsage()
        return self._before + RunUsage()

    @property
    def used(self) -> RunUsage:
        """What this attempt has used so far."""
        return self._counted - self._before

    async def summary(self) -> UsageSummary:
        """Return what all attempts of this run have used. Best effort: the run is about to end."""
        earlier = UsageSummary(RunUsage(), self._model)
        if self._attempt > 1:
            with suppress(*REDIS_UNAVAILABLE, RedisError):
                earlier = await self._earlier_usage()
        return UsageSummary(earlier.usage + self.used, self._answered_by or earlier.model)

    def record(self, usage: RunUsage, answered_by: str | None = None) -> None:
        """Count the usage so far, and store it for limits and operators."""
        count_usage(self._model, usage - self._counted)
        self._counted = usage + RunUsage()
        self._answered_by = answered_by
        used = self.used
        used.tool_calls = 0
        stored = {**_usage.dump_python(used, mode="json"), "model": answered_by}
        self._store(to_json(stored).decode())

    async def _earlier_usage(self) -> UsageSummary:
        usage, model = RunUsage(), self._model
        for number, text in sorted((await self._runs.usages(self._run_id)).items()):
            with suppress(ValueError):
                if number < self._attempt:
                    usage.incr(_usage.validate_json(text))
                    model = from_json(text).get("model") or model
        return UsageSummary(usage, model)
