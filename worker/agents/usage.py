"""Usage of a run over all its attempts. A crash must not reset the budget."""

from collections.abc import Sequence
from contextlib import suppress

import structlog
from pydantic import TypeAdapter, ValidationError
from pydantic_ai import UsageLimits
from pydantic_ai.usage import RunUsage

from shared.redis.client import REDIS_UNAVAILABLE
from shared.runs.store import RunStore
from shared.streams.transcript import Transcript
from worker.telemetry.metrics import count_usage

log = structlog.stdlib.get_logger()

_usage: TypeAdapter[RunUsage] = TypeAdapter(RunUsage)


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
        *,
        continues: Sequence[str] = (),
    ) -> None:
        self._runs = runs
        #: The runs that this one continues. They share its limits.
        self._continues = continues
        self._run_id = run_id
        self._attempt = attempt
        self._before = RunUsage()
        self._model = model
        self._counted = RunUsage()

    async def begin(self, transcript: Transcript, limits: UsageLimits) -> RunUsage:
        """Return the usage of earlier attempts and of continued runs."""
        limited = limits.has_token_limits() or limits.cost_limit is not None
        runs = [*self._continues, *([self._run_id] if self._attempt > 1 else [])]
        for run_id in runs if limited else ():
            for text in await self._runs.usages(run_id):
                with suppress(ValidationError):
                    self._before.incr(_usage.validate_json(text))
        self._before.requests = sum(step.finished or bool(step.calls) for step in transcript.steps)
        self._counted = self._before + RunUsage()
        return self._before + RunUsage()

    @property
    def used(self) -> RunUsage:
        """What this attempt has used so far."""
        return self._counted - self._before

    async def record(self, usage: RunUsage) -> None:
        """Count the usage so far, and store it for limits and operators."""
        count_usage(self._model, usage - self._counted)
        self._counted = usage + RunUsage()
        used = self.used
        used.tool_calls = 0
        try:
            await self._runs.record_usage(
                self._run_id, self._attempt, _usage.dump_json(used).decode()
            )
        except REDIS_UNAVAILABLE as error:
            log.warning(
                "run.usage_not_recorded",
                message="Usage of an attempt could not be stored",
                error=str(error),
            )
