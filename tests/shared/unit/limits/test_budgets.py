"""What is reported about budgets."""

from typing import Any

import pytest

from shared.limits.budgets import Amount, UsageReport, UsedUp, encode_budget
from shared.rate_limit_status import RateLimitStatus
from shared.settings import BudgetSettings, LimitSettings

#: 30 minutes into the hour that starts at 2026-11-29 09:00 UTC.
NOW = 1_795_944_600
REPORT = UsageReport.parse(
    f"{NOW} 1795942800 1795946400 90 5 1795910400 1795996800 120 2000000 1793491200 1796083200 120 "
    "2000000"
)


def budget(**limits: Any) -> BudgetSettings:
    return BudgetSettings.model_validate(limits)


def test_budget_is_encoded_in_the_order_of_the_scripts() -> None:
    both = budget(tokens={"hour": 5, "month": 7}, cost={"day": 0.25})

    assert encode_budget(both) == "5 - - 250000000 7 -"


@pytest.mark.parametrize("empty", [None, BudgetSettings()])
def test_missing_budget_is_encoded_as_nothing(empty: BudgetSettings | None) -> None:
    assert encode_budget(empty) == ""


def test_status_of_each_budget_is_reported() -> None:
    both = budget(tokens={"hour": 100}, cost={"month": 0.01})

    assert [*REPORT.statuses(both)] == [
        RateLimitStatus("tokens-hour", 100, 10, 3600, 1800, "tokens"),
        RateLimitStatus("cost-month", 10_000, 8000, 30 * 86_400, 138_600, "micro-usd"),
    ]


@pytest.mark.parametrize(
    ("number", "limits", "text"),
    [
        (
            1,
            {"tokens": {"hour": 1000}},
            "1,000 tokens per hour is used up. It resets at 2026-11-29",
        ),
        (4, {"cost": {"day": 2.5}}, "$2.50 per day is used up. It resets at 2026-11-30 00:00 UTC."),
        (6, {"cost": {"month": 0.0004}}, "$0.0004 per month is used up. It resets at 2026-12-01"),
    ],
)
def test_refusal_names_budget_and_reset(number: int, limits: Any, text: str) -> None:
    assert text in str(UsedUp.of(number, budget(**limits), REPORT))


def test_refusal_has_the_state_of_its_budget() -> None:
    both = budget(tokens={"hour": 1, "day": 100})

    refusal = UsedUp.of(3, both, REPORT).refusal(both, REPORT)

    assert (refusal.code, refusal.retry_after) == ("budget_exceeded", 52_200)
    assert refusal.rate_limit == RateLimitStatus("tokens-day", 100, 0, 86_400, 52_200, "tokens")


def test_unknown_cost_counts_as_nothing() -> None:
    assert Amount.of(5, None) == Amount(5, 0)


def test_budget_of_the_owner_precedes_the_plan() -> None:
    small, large, own = (budget(tokens={"day": n}) for n in (1, 2, 3))
    limits = LimitSettings(budgets={"default": small, "premium": large, "jwt::ann": own})

    assert limits.budget_of("jwt::ann", "premium") == own
    assert limits.budget_of("jwt::bob", "premium") == large
    assert limits.budget_of("jwt::bob", "unknown") == small
    assert limits.budget_of("jwt::bob", None) == small
    assert LimitSettings().budget_of("jwt::bob", None) is None
