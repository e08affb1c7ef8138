"""`mamba usage`: what owners have used of their budgets."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from mamba.cli_errors import CommandFailed, print_now
from mamba.operate.deployment import Deployment
from mamba.operate.table import in_columns
from shared.limits.budgets import Period, PeriodUsage
from shared.limits.usage_ledger import OwnerUsage
from shared.settings import BudgetSettings, Settings

_HEADERS = ("OWNER", "PLAN", "PERIOD", "TOKENS", "TOKEN BUDGET", "COST", "COST BUDGET", "RESETS")


async def show_owners(
    deployment: Deployment, period: Period, *, limit: int, as_json: bool, color: bool
) -> None:
    """Print the owners who have used the most tokens in this period.

    Raises:
        CommandFailed: if usage is not counted.
    """
    if not deployment.settings.limits.budgets:
        raise CommandFailed(
            "Usage is not counted, because there are no budgets. Run the command with the settings"
            " of the workers, or set limits.budgets: see docs/reference/limits.md."
        )
    ledger = deployment.stores.usage_ledger
    found = await ledger.read_many(await ledger.owners())
    active = [usage for usage in found if _in_period(usage, period).used.tokens]
    active.sort(key=lambda usage: _in_period(usage, period).used, reverse=True)
    if as_json:
        owners = [_json(usage, deployment.settings) for usage in active[:limit]]
        print_now(json.dumps({"owners": owners, "total": len(active)}))
        return
    rows = [_row(usage, _in_period(usage, period), deployment.settings) for usage in active[:limit]]
    hidden = len(active) - len(rows)
    table = in_columns(_HEADERS, rows, color=color)
    print_now(f"{table}\n… and {hidden} more (--limit)" if hidden > 0 else table)


async def show_owner(deployment: Deployment, owner: str, *, as_json: bool, color: bool) -> None:
    """Print what an owner has used in the current hour, day, and month."""
    usage = await deployment.stores.usage_ledger.read(owner)
    if as_json:
        print_now(json.dumps(_json(usage, deployment.settings)))
        return
    rows = [_row(usage, period, deployment.settings) for period in usage.report.periods]
    print_now(in_columns(_HEADERS, rows, color=color))


def _in_period(usage: OwnerUsage, period: Period) -> PeriodUsage:
    return next(found for found in usage.report.periods if found.period == period)


def _row(usage: OwnerUsage, period: PeriodUsage, settings: Settings) -> Sequence[object]:
    tokens, cost = _limits(usage, period, settings)
    return (
        usage.owner,
        usage.plan or "-",
        period.period,
        period.used.tokens,
        "-" if tokens is None else tokens,
        f"${period.used.dollars:.4f}",
        "-" if cost is None else f"${cost:.2f}",
        f"{datetime.fromtimestamp(period.ends_at, UTC):%Y-%m-%d %H:%M}Z",
    )


def _json(usage: OwnerUsage, settings: Settings) -> dict[str, Any]:
    return {
        "owner": usage.owner,
        "plan": usage.plan,
        "periods": [_period_json(usage, period, settings) for period in usage.report.periods],
    }


def _period_json(usage: OwnerUsage, period: PeriodUsage, settings: Settings) -> dict[str, Any]:
    tokens, cost = _limits(usage, period, settings)
    return {
        "period": period.period,
        "starts_at": period.starts_at * 1000,
        "resets_at": period.ends_at * 1000,
        "tokens": period.used.tokens,
        "tokens_budget": tokens,
        "cost": period.used.dollars,
        "cost_budget": cost,
    }


def _limits(
    usage: OwnerUsage, period: PeriodUsage, settings: Settings
) -> tuple[int | None, float | None]:
    budget = settings.limits.budget_of(usage.owner, usage.plan) or BudgetSettings()
    return getattr(budget.tokens, period.period), getattr(budget.cost, period.period)
