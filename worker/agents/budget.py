"""The budgets of owners during runs: each model request reserves and counts what it uses."""

import asyncio
from contextlib import suppress

import structlog
from pydantic_ai.usage import RunUsage

from shared.backoff import Backoff
from shared.errors import BudgetUsedUp
from shared.limits.budgets import Amount
from shared.limits.usage_ledger import Account, UsageLedger
from shared.queue.job import GenerateTitle, RunChat
from shared.redis.client import REDIS_UNAVAILABLE, RedisError
from shared.settings import BudgetSettings, CostBudgetSettings
from shared.settings.live_settings import LiveSettings

log = structlog.stdlib.get_logger()

#: The pause before a request checks again whether others have released their reservations.
_MIN_PAUSE, _MAX_PAUSE = 0.1, 1.0


class Budgets:
    """Opens the budgets of runs and titles."""

    def __init__(self, ledger: UsageLedger, live: LiveSettings) -> None:
        self._ledger = ledger
        self._live = live

    def of_run(self, job: RunChat, attempt: int) -> "RunBudget":
        return self._open(Account(job.owner, job.plan, job.run_id, attempt))

    def of_title(self, job: GenerateTitle) -> "RunBudget":
        return self._open(Account(job.owner, job.plan, job.title_id, 1))

    def _open(self, account: Account) -> "RunBudget":
        return RunBudget(self._ledger, self._live, account)


class RunBudget:
    """The budget of a run's owner, as one attempt of the run uses it. Also for titles."""

    def __init__(self, ledger: UsageLedger, live: LiveSettings, account: Account) -> None:
        self._ledger = ledger
        self._live = live
        self._account = account

    @property
    def counts(self) -> bool:
        """Whether usage is counted: only if the settings have budgets."""
        return bool(self._account.owner and self._live.now.limits.budgets)

    @property
    def limits_cost(self) -> bool:
        return self._budget.cost != CostBudgetSettings()

    async def start_request(self, used: RunUsage, expected: RunUsage, least: RunUsage) -> int:
        """Reserve tokens for a model request, and return how many.

        It is expected to use `expected`, or the mean of the owner's requests if that is known, but
        at least `least`. Waits while other requests of the owner have reserved the rest of the
        budget, and while Redis is unavailable.

        Raises:
            BudgetUsedUp: if the budget is used up.
            Fenced: if a later attempt has taken over the run.
        """
        backoff = Backoff(_MIN_PAUSE, _MAX_PAUSE)
        while True:
            with suppress(*REDIS_UNAVAILABLE):
                found = await self._ledger.start_request(
                    self._account,
                    _amount(used),
                    _amount(expected),
                    _amount(least),
                    self._budget,
                    seconds=self._seconds,
                )
                if found.used_up is None:
                    return found.tokens
                if not found.may_wait:
                    raise BudgetUsedUp(str(found.used_up))
            await asyncio.sleep(backoff.failed())

    async def keep_request(self, used: RunUsage, reserved: RunUsage, *, extends: bool) -> None:
        """Count what the attempt has used, and replace the reservation of its model request.

        Raises:
            BudgetUsedUp: if the budget is used up, or the request `extends` its reservation and
                the owner's other requests have reserved the rest.
            Fenced: if a later attempt has taken over the run.
        """
        with suppress(*REDIS_UNAVAILABLE):
            found = await self._ledger.keep_request(
                self._account,
                _amount(used),
                _amount(reserved),
                self._budget,
                extends=extends,
                seconds=self._seconds,
            )
            if found.used_up is not None:
                raise BudgetUsedUp(str(found.used_up))

    async def count(self, used: RunUsage, *, finished: RunUsage | None = None) -> bool:
        """Count what the attempt has used, and remove its reservation.

        Best effort: amounts are absolute, so a later call corrects a failed one. Returns False if
        it failed.

        Raises:
            Fenced: if a later attempt has taken over the run.
        """
        with suppress(*REDIS_UNAVAILABLE, RedisError):
            await self._ledger.count(
                self._account,
                _amount(used),
                finished=_amount(finished),
            )
            return True
        return False

    async def count_earlier(self, attempt: int, used: RunUsage) -> bool:
        """Count what an earlier attempt has stored with its run instead of what it has counted.

        Fails like `count`.
        """
        with suppress(*REDIS_UNAVAILABLE, RedisError):
            await self._ledger.count(self._account, _amount(used), earlier_attempt=attempt)
            return True
        return False

    @property
    def _budget(self) -> BudgetSettings:
        limits = self._live.now.limits
        return limits.budget_of(self._account.owner, self._account.plan) or BudgetSettings()

    @property
    def _seconds(self) -> float:
        return self._live.now.run.timeout_seconds


def _amount(usage: RunUsage | None) -> Amount:
    return Amount.of(usage.total_tokens, usage.cost) if usage else Amount()
