"""Admission of runs whose owner has a budget."""

import pytest

from shared.errors import BudgetExceeded, RateLimited
from shared.limits.budgets import Amount
from shared.limits.usage_ledger import Account
from shared.runs.admission import Admitted, Idempotency
from shared.settings import BudgetSettings
from tests.support.admission_harness import OWNER, AdmissionHarness, admitted

BUDGET = BudgetSettings.model_validate({"tokens": {"hour": 100, "day": 500}})
ACCOUNT = Account(OWNER, None, "earlier", 1)


async def test_admitted_run_reports_the_rest_of_the_budget(harness: AdmissionHarness) -> None:
    await harness.ledger.count(ACCOUNT, Amount(99))

    outcome = await harness.admit("run", budget=BUDGET)

    assert isinstance(outcome, Admitted)
    states = {status.policy: (status.quota, status.remaining) for status in outcome.budgets}
    assert states == {"tokens-hour": (100, 1), "tokens-day": (500, 401)}


async def test_used_up_budget_refuses_and_stores_nothing(harness: AdmissionHarness) -> None:
    await harness.ledger.count(ACCOUNT, Amount(100))
    before = await harness.dump()

    with pytest.raises(BudgetExceeded, match="100 tokens per hour is used up") as error:
        await harness.admit("run", budget=BUDGET)

    assert await harness.dump() == before
    assert 1 <= error.value.retry_after <= 3600
    assert error.value.rate_limit is not None
    assert error.value.rate_limit.policy == "tokens-hour"


async def test_retry_after_is_that_of_the_last_budget_to_reset(harness: AdmissionHarness) -> None:
    await harness.ledger.count(ACCOUNT, Amount(500))

    with pytest.raises(BudgetExceeded, match="500 tokens per day is used up"):
        await harness.admit("run", budget=BUDGET)


async def test_rate_limit_is_checked_before_the_budget(harness: AdmissionHarness) -> None:
    await harness.admit("first", requests_per_minute=1, burst=1)
    await harness.ledger.count(ACCOUNT, Amount(500))

    with pytest.raises(RateLimited):
        await harness.admit("run", budget=BUDGET, requests_per_minute=1, burst=1)


async def test_repeated_request_is_not_refused(harness: AdmissionHarness) -> None:
    key = Idempotency.of("key", b"request")
    await harness.admit("run", idempotency=key, budget=BUDGET)
    await harness.ledger.count(ACCOUNT, Amount(500))

    repeated = await harness.admit("other", idempotency=key, budget=BUDGET)

    assert repeated == admitted("run")


async def test_usage_of_other_owners_does_not_count(harness: AdmissionHarness) -> None:
    await harness.ledger.count(ACCOUNT._replace(owner="other"), Amount(500))

    assert isinstance(await harness.admit("run", budget=BUDGET), Admitted)
