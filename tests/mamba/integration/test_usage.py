"""`mamba usage` shows what owners have used."""

import json
from collections.abc import AsyncGenerator

import pytest

from mamba.cli_errors import CommandFailed
from mamba.operate.deployment import Deployment, open_deployment
from mamba.operate.usage import show_owner, show_owners
from shared.limits.budgets import Amount
from shared.limits.usage_ledger import Account
from shared.redis.client import Redis
from shared.settings import LimitSettings, RedisSettings, Settings
from tests.support.processes import Valkey

LIMITS = LimitSettings.model_validate(
    {"budgets": {"premium": {"tokens": {"day": 1000}, "cost": {"month": 20}}}}
)


@pytest.fixture
async def budgeted(valkey: Valkey, redis: Redis) -> AsyncGenerator[Deployment]:  # noqa: ARG001
    settings = Settings(redis=RedisSettings(url=valkey.url), limits=LIMITS)
    async with open_deployment(settings) as deployment:
        ledger = deployment.stores.usage_ledger
        for owner, plan, tokens in (("a", None, 5), ("b", "premium", 500), ("c", None, 50)):
            amount = Amount(tokens, 1_500_000 * tokens)
            await ledger.count(Account(f"jwt::{owner}", plan, owner, 1), amount)
        yield deployment


async def test_owners_who_used_most_come_first(
    budgeted: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    await show_owners(budgeted, "day", limit=2, as_json=False, color=False)
    header, *rows, more = capsys.readouterr().out.splitlines()

    assert header.split() == [
        "OWNER",
        "PLAN",
        "PERIOD",
        *("TOKENS", "TOKEN", "BUDGET"),
        *("COST", "COST", "BUDGET"),
        "RESETS",
    ]
    assert [row.split()[:6] for row in rows] == [
        ["jwt::b", "premium", "day", "500", "1000", "$0.7500"],
        ["jwt::c", "-", "day", "50", "-", "$0.0750"],
    ]
    assert more == "… and 1 more (--limit)"


async def test_one_owner_is_shown_for_each_period(
    budgeted: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    await show_owner(budgeted, "jwt::b", as_json=False, color=False)
    table = capsys.readouterr().out
    await show_owner(budgeted, "jwt::b", as_json=True, color=False)
    shown = json.loads(capsys.readouterr().out)

    assert [line.split()[2] for line in table.splitlines()[1:]] == ["hour", "day", "month"]
    assert shown["owner"] == "jwt::b"
    hour, day, month = shown["periods"]
    assert (hour["tokens"], hour["tokens_budget"]) == (500, None)
    assert (day["tokens"], day["tokens_budget"]) == (500, 1000)
    assert (month["cost"], month["cost_budget"]) == (0.75, 20)


async def test_json_lists_owners(budgeted: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    await show_owners(budgeted, "month", limit=20, as_json=True, color=False)
    found = json.loads(capsys.readouterr().out)

    assert found["total"] == 3
    assert [owner["owner"] for owner in found["owners"]] == ["jwt::b", "jwt::c", "jwt::a"]


async def test_usage_without_budgets_is_an_error(deployment: Deployment) -> None:
    with pytest.raises(CommandFailed, match=r"set limits\.budgets"):
        await show_owners(deployment, "day", limit=20, as_json=False, color=False)
