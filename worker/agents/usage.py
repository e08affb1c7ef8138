"""Usage of a run over all its attempts. A crash must not reset the budget."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import NamedTuple, Self

import structlog
from pydantic import TypeAdapter
from pydantic_ai import UsageLimits
from pydantic_ai.messages import AgentStreamEvent, ModelMessage
from pydantic_ai.models import Model
from pydantic_ai.usage import RunUsage
from pydantic_core import from_json, to_json

from shared.backoff import Backoff
from shared.redis.client import REDIS_UNAVAILABLE, RedisError
from shared.runs.store import RunStore
from shared.streams.transcript import Transcript
from worker.agents.budget import RunBudget
from worker.agents.request_estimate import RequestEstimate
from worker.models.profiles.token_prices import token_prices
from worker.telemetry.metrics import count_usage

log = structlog.stdlib.get_logger()

#: How many further tokens of a model request are stored and checked at once.
_STEP_TOKENS = 100
#: How long the end of a run waits for Redis to count its usage.
_CLOSE_SECONDS = 10.0

_usage: TypeAdapter[RunUsage] = TypeAdapter(RunUsage)


class UsageSummary(NamedTuple):
    """What all attempts of a run have used, and the model that answered last."""

    usage: RunUsage
    model: str


class AttemptUsage(NamedTuple):
    """What one attempt has stored, and the model that answered it last, if one has."""

    usage: RunUsage
    model: str | None

    @classmethod
    def parse(cls, stored: str | None) -> Self:
        """Parse what `UsageMeter` has stored. Nothing, or invalid JSON, is no usage."""
        with suppress(ValueError):
            return cls(_usage.validate_json(stored or "{}"), from_json(stored or "{}").get("model"))
        return cls(RunUsage(), None)


class UsageMeter:
    """Counts the usage of one attempt.

    Steps are counted from the stream, tokens and cost from the run's hash. The usage of a model
    request that broke off is unknown, because endpoints report it at the end. If the owner has a
    budget, it is estimated.
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
        budget: RunBudget | None = None,
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
        self._budget = budget
        #: Whether the run may have a reservation, or usage that has not been counted. A killed
        #: attempt can leave both.
        self._is_open = attempt > 1 and budget is not None and budget.counts
        #: What earlier attempts have stored, once it has been read. They can no longer change it.
        self._earlier: Sequence[AttemptUsage] | None = None if attempt > 1 else ()
        #: Whether that has been counted.
        self._are_earlier_counted = attempt == 1
        #: The running model request, if its usage counts against a budget.
        self._request: RequestEstimate | None = None
        #: The tokens that it may use, and those that were stored last.
        self._reserved = self._stored = 0
        #: What the last finished request used.
        self._finished = RunUsage()
        #: The estimates of requests whose usage was not reported.
        self._unreported = RunUsage()

    async def begin(self, transcript: Transcript, limits: UsageLimits) -> RunUsage:
        """Return the usage of earlier attempts and of continued runs."""
        limited = limits.has_token_limits() or limits.cost_limit is not None
        runs = [*self._continues, *([self._run_id] if self._attempt > 1 else [])]
        for run_id in runs if limited else ():
            for stored in (await self._runs.usages(run_id)).values():
                self._before.incr(AttemptUsage.parse(stored).usage)
        self._before.requests = sum(step.finished or bool(step.calls) for step in transcript.steps)
        self._counted = self._before + RunUsage()  # a copy: `incr` changes its object
        if self._is_open and self._budget is not None:
            await self._count_earlier_attempts(self._budget)
        return self._before + RunUsage()

    @property
    def used(self) -> RunUsage:
        """What this attempt has used so far."""
        used = self._counted - self._before + self._unreported
        return used + self._request.used if self._request else used

    async def start_request(self, messages: Sequence[ModelMessage], model: Model) -> None:
        """Reserve what a model request will probably use, if its owner's usage is counted.

        Raises:
            BudgetUsedUp: if the owner's budget is used up.
        """
        self._request = None
        if self._budget is None or not self._budget.counts:
            return
        prices = token_prices(model)
        if prices is None and self._budget.limits_cost:
            _warn_of_unknown_price(self._model)
        request = RequestEstimate(messages, prices)
        self._is_open = True
        self._reserved = await self._budget.start_request(
            self.used, request.expected, request.least
        )
        self._request, self._stored = request, 0

    @property
    def estimates(self) -> bool:
        """Whether `observe` must receive the events of the running request."""
        return self._request is not None

    async def observe(self, event: AgentStreamEvent) -> None:
        """Count an event of the running request.

        Raises:
            BudgetUsedUp: if the owner's budget is used up.
        """
        request, budget = self._request, self._budget
        if request is None or budget is None:
            return
        request.add(event)
        tokens = request.used.total_tokens
        if self._stored and tokens < min(self._stored + _STEP_TOKENS, self._reserved):
            return
        self._stored = max(1, tokens)
        used = self._store_used()
        extends = tokens >= self._reserved
        if extends:
            self._reserved = tokens + _STEP_TOKENS
        left = request.output(self._reserved - tokens)
        await budget.keep_request(used, left, extends=extends)

    async def end(self) -> None:
        """Count what the attempt has used, and release its reservation. Best effort."""
        if not self._is_open or self._budget is None:
            return
        await self._count_earlier_attempts(self._budget)
        used = self.used if self._request is None else self._store_used()
        is_counted = await self._budget.count(used)
        self._is_open = not (is_counted and self._are_earlier_counted)

    async def close(self) -> UsageSummary:
        """Count what the attempt has used, and return what all attempts of this run have used.

        No attempt follows that could correct it, so calls that fail are repeated for some seconds.
        """
        backoff, give_up_at = Backoff(0.1, 1.0), time.monotonic() + _CLOSE_SECONDS
        while True:
            await self.end()
            earlier = await self._read_earlier()
            is_counted = earlier is not None and not self._is_open
            if is_counted or time.monotonic() >= give_up_at:
                break
            await asyncio.sleep(backoff.failed())
        return self._summary(earlier or ())

    def record(self, usage: RunUsage, answered_by: str | None = None) -> None:
        """Record the usage so far in the metrics, and store it with the next events."""
        new = usage - self._counted
        count_usage(self._model, new)
        self._counted = usage + RunUsage()
        self._answered_by = answered_by
        if self._request is not None and not new.total_tokens:
            new = self._request.used
            self._unreported += new
        self._request, self._finished = None, new
        self._store_used()

    async def count(self) -> None:
        """Count what `record` has stored against the budget, if the owner's usage is counted."""
        if self._budget is not None and self._budget.counts:
            is_counted = await self._budget.count(self.used, finished=self._finished)
            self._is_open = not (is_counted and self._are_earlier_counted)

    def _store_used(self) -> RunUsage:
        """Store what the attempt has used so far, and return it."""
        used = self.used
        used.tool_calls = 0
        stored = {**_usage.dump_python(used, mode="json"), "model": self._answered_by}
        self._store(to_json(stored).decode())
        return used

    def _summary(self, earlier: Sequence[AttemptUsage]) -> UsageSummary:
        usage, model = self.used, self._model
        for attempt in earlier:
            usage.incr(attempt.usage)
            model = attempt.model or model
        return UsageSummary(usage, self._answered_by or model)

    async def _read_earlier(self) -> Sequence[AttemptUsage] | None:
        """Return what earlier attempts have stored, in order, or None if Redis does not reply."""
        if self._earlier is None:
            with suppress(*REDIS_UNAVAILABLE, RedisError):
                stored = await self._runs.usages(self._run_id)
                numbers = range(1, self._attempt)
                self._earlier = [AttemptUsage.parse(stored.get(number)) for number in numbers]
        return self._earlier

    async def _count_earlier_attempts(self, budget: RunBudget) -> None:
        """Count what earlier attempts have stored: what this run will report. Best effort."""
        if self._are_earlier_counted or (earlier := await self._read_earlier()) is None:
            return
        is_counted = True
        for number, attempt in enumerate(earlier, 1):
            is_counted &= await budget.count_earlier(number, attempt.usage)
        self._are_earlier_counted = is_counted


@cache
def _warn_of_unknown_price(model: str) -> None:
    log.warning(
        "budget.price_unknown",
        message="A cost budget does not limit this model, because its price is unknown",
        model=model,
        hint="set models.prices",
    )
