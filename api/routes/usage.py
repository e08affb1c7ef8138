"""`GET /usage`."""

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from api.auth.principal import Caller
from api.http import problems
from api.process import CurrentProcess
from shared.limits.budgets import Period, PeriodUsage
from shared.settings import BudgetSettings

router = APIRouter(tags=["usage"])


class _UsageBody(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )


class TokensOfPeriod(_UsageBody):
    used: int = Field(examples=[18_796])
    budget: int | None = Field(description="Null if there is no limit", examples=[200_000])
    remaining: int | None = Field(description="Null if there is no limit", examples=[181_204])


class CostOfPeriod(_UsageBody):
    used: float = Field(examples=[0.42])
    budget: float | None = Field(description="Null if there is no limit", examples=[5])
    remaining: float | None = Field(description="Null if there is no limit", examples=[4.58])
    currency: Literal["USD"] = "USD"


class UsageOfPeriod(_UsageBody):
    """What the caller has used in the current hour, day, or month, in UTC."""

    period: Period
    starts_at: datetime
    resets_at: datetime
    tokens: TokensOfPeriod
    cost: CostOfPeriod = Field(description="The cost of models with a known price")


class Usage(_UsageBody):
    counted: bool = Field(
        description="Whether usage is counted, which requires budgets in the settings",
        examples=[True],
    )
    periods: list[UsageOfPeriod] = Field(description="The hour, the day, and the month")


@router.get("/usage", responses=problems.responses(503))
async def read_usage(process: CurrentProcess, caller: Caller) -> Usage:
    """Return what the caller has used of its budgets, and when they reset."""
    limits = process.settings.limits
    budget = limits.budget_of(caller.owner, caller.plan) or BudgetSettings()
    usage = await process.stores.usage_ledger.read(caller.owner)
    return Usage(
        counted=bool(limits.budgets),
        periods=[_period(period, budget) for period in usage.report.periods],
    )


def _period(usage: PeriodUsage, budget: BudgetSettings) -> UsageOfPeriod:
    tokens, dollars = usage.used.tokens, usage.used.dollars
    max_tokens: int | None = getattr(budget.tokens, usage.period)
    max_dollars: float | None = getattr(budget.cost, usage.period)
    return UsageOfPeriod(
        period=usage.period,
        starts_at=datetime.fromtimestamp(usage.starts_at, UTC),
        resets_at=datetime.fromtimestamp(usage.ends_at, UTC),
        tokens=TokensOfPeriod(
            used=tokens,
            budget=max_tokens,
            remaining=None if max_tokens is None else max(0, max_tokens - tokens),
        ),
        cost=CostOfPeriod(
            used=dollars,
            budget=max_dollars,
            remaining=None if max_dollars is None else max(0.0, round(max_dollars - dollars, 9)),
        ),
    )
