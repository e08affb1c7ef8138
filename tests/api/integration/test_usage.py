"""`GET /usage`, and the headers and refusals of budgets."""

import json
from collections.abc import AsyncGenerator

import httpx
import pytest

from shared.limits.budgets import Amount
from shared.limits.usage_ledger import Account, UsageLedger
from shared.redis.client import Redis
from tests.support.processes import Api, Valkey, start_all, stop_all

KEYS = [
    {"name": "ann", "key": "key-of-ann-0123456789", "plan": "small"},
    {"name": "bob", "key": "key-of-bob-0123456789"},
]
BUDGETS = {
    "small": {"tokens": {"day": 1000}, "cost": {"month": 2}},
    "default": {"tokens": {"hour": 50}},
}
ANN, BOB = "api_key::ann", "api_key::bob"
BODY = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
async def client(valkey: Valkey, redis: Redis) -> AsyncGenerator[httpx.AsyncClient]:  # noqa: ARG001
    env = {
        "MAMBA_AUTH__MODE": "api_key",
        "MAMBA_AUTH__API_KEYS": json.dumps(KEYS),
        "MAMBA_LIMITS__BUDGETS": json.dumps(BUDGETS),
    }
    api = Api(valkey.url, env)
    await start_all(api)
    async with httpx.AsyncClient(base_url=api.url, timeout=20) as client:
        yield client
    await stop_all(api)


def key(owner: str) -> dict[str, str]:
    return {"x-api-key": f"key-of-{owner}-0123456789"}


async def test_budgets_are_reported_and_enforced(client: httpx.AsyncClient, redis: Redis) -> None:
    ledger = UsageLedger(redis, live_ttl=600)
    await ledger.count(Account(ANN, "small", "r1", 1), Amount(400, 500_000_000))
    await ledger.count(Account(BOB, None, "r2", 1), Amount(50))

    async with client.stream("POST", "/chat", json=BODY, headers=key("ann")) as accepted:
        pass
    refused = await client.post("/chat", json=BODY, headers=key("bob"))
    usage = (await client.get("/usage", headers=key("ann"))).json()

    policies = accepted.headers["ratelimit-policy"].split(", ")
    assert policies[0] == '"tokens-day";q=1000;qu="tokens";w=86400'
    assert policies[1].startswith('"cost-month";q=2000000;qu="micro-usd";w=')
    remaining = accepted.headers["ratelimit"].split(", ")
    assert remaining[0].startswith('"tokens-day";r=600;t=')
    assert remaining[1].startswith('"cost-month";r=1500000;t=')
    assert refused.status_code == 429
    assert refused.json()["code"] == "budget_exceeded"
    assert "Your budget of 50 tokens per hour is used up." in refused.json()["detail"]
    assert 1 <= int(refused.headers["retry-after"]) <= 3600
    assert refused.headers["ratelimit"].startswith('"tokens-hour";r=0;t=')
    assert usage["counted"] is True
    hour, day, month = usage["periods"]
    assert [hour["period"], day["period"], month["period"]] == ["hour", "day", "month"]
    assert hour["tokens"] == {"used": 400, "budget": None, "remaining": None}
    assert day["tokens"] == {"used": 400, "budget": 1000, "remaining": 600}
    assert month["cost"] == {"used": 0.5, "budget": 2, "remaining": 1.5, "currency": "USD"}
    assert day["startsAt"].endswith("T00:00:00Z")
    assert day["startsAt"] < day["resetsAt"]
