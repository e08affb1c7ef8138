from typing import Any

import pytest

from shared.redis import keys
from shared.redis.client import Redis
from shared.webhooks import store as store_module
from shared.webhooks.event import WebhookEvent
from shared.webhooks.store import LEASE_MS, WebhookStore


def _event(run_id: str, text: str = "Hello") -> WebhookEvent:
    data = {"runId": run_id, "message": {"parts": [{"type": "text", "text": text}]}}
    return WebhookEvent(run_id, "run.succeeded", 1_000, data)


async def _make_due(redis: Redis, key: str, run_id: str) -> None:
    await redis.execute_command("ZADD", key, "XX", 1, run_id)


async def _add_run(redis: Redis, run_id: str, due: int = 1) -> None:
    await redis.execute_command("ZADD", keys.WEBHOOK_RUNS, due, run_id)
    await redis.execute_command("PEXPIRE", keys.WEBHOOK_RUNS, 600_000)


async def _webhook_keys(redis: Redis) -> list[bytes]:
    return await redis.execute_command("KEYS", "mamba:webhooks*")


async def test_claimed_run_is_claimed_again_later(redis: Redis) -> None:
    store = WebhookStore(redis)
    await _add_run(redis, "r1")

    assert await store.claim_runs(10) == ["r1"]
    assert await store.claim_runs(10) == []
    await _make_due(redis, keys.WEBHOOK_RUNS, "r1")
    assert await store.claim_runs(10) == ["r1"]


async def test_check_is_not_delayed_by_a_clock_set_back(redis: Redis) -> None:
    await _add_run(redis, "r1", due=10**15)

    assert await WebhookStore(redis).claim_runs(10) == ["r1"]


async def test_stored_webhook_replaces_its_run(redis: Redis) -> None:
    store = WebhookStore(redis)
    await _add_run(redis, "r1")

    assert await store.store(_event("r1"), ["a", "b"]) == "whole"
    assert await store.store(_event("r1", "again"), ["a", "b"]) == "known"

    assert await store.claim_runs(10) == []
    for destination in ("a", "b"):
        [webhook] = await store.claim(destination, 10)
        assert webhook.run_id == "r1"
        assert webhook.body == _event("r1").body()


async def test_leased_webhook_is_sent_again_after_its_lease(redis: Redis) -> None:
    store = WebhookStore(redis)
    await store.store(_event("r1"), ["a"])

    assert await store.claim("a", 10)
    assert await store.claim("a", 10) == []
    now = await redis.execute_command("TIME")
    [due] = await redis.execute_command("ZMSCORE", keys.webhook_due("a"), "r1")
    assert 0 < float(due) - int(now[0]) * 1000 <= LEASE_MS + 1000
    await _make_due(redis, keys.webhook_due("a"), "r1")
    assert await store.claim("a", 10)


async def test_webhook_is_deleted_after_the_last_delivery(redis: Redis) -> None:
    store = WebhookStore(redis)
    await store.store(_event("r1"), ["a", "b"])

    await store.delivered("r1", "a")
    await store.delivered("r1", "a")

    assert await store.claim("a", 10) == []
    assert await store.claim("b", 10)
    await store.delivered("r1", "b")
    assert await _webhook_keys(redis) == []


async def test_failed_attempts_are_counted_until_given_up(redis: Redis) -> None:
    store = WebhookStore(redis)
    await store.store(_event("r1"), ["a"])

    for expected in (0, 1):
        [webhook] = await store.claim("a", 10)
        assert webhook.failed_attempts == expected
        await store.failed("r1", "a", result="500", retry_in=0)
    await store.failed("r1", "a", result="410", retry_in=None)

    assert await store.claim("a", 10) == []
    assert await redis.execute_command("ZRANGE", keys.webhook_failed("a"), 0, -1) == [b"r1"]
    fields: list[Any] = await redis.execute_command(
        "HMGET", keys.webhook("r1"), "attempts:a", "result:a"
    )
    assert fields == [b"3", b"410"]


async def test_late_failure_does_not_revive_a_delivered_webhook(redis: Redis) -> None:
    store = WebhookStore(redis)
    await store.store(_event("r1"), ["a"])
    await store.delivered("r1", "a")

    await store.failed("r1", "a", result="timeout", retry_in=1)

    assert await _webhook_keys(redis) == []


async def test_expired_webhook_is_dropped_from_its_destination(redis: Redis) -> None:
    store = WebhookStore(redis)
    await store.store(_event("r1"), ["a"])
    await redis.execute_command("DEL", keys.webhook("r1"))

    assert await store.claim("a", 10) == []
    assert await redis.execute_command("EXISTS", keys.webhook_due("a")) == 0


async def test_undelivered_webhooks_are_limited_in_bytes(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_BYTES", 4_000)
    store = WebhookStore(redis)
    await _add_run(redis, "r3")

    assert await store.store(_event("r1", "x" * 1_000), ["a"]) == "whole"
    assert await store.store(_event("r2", "x" * 1_000), ["a"]) == "short"
    assert b'"messageOmitted":true' in (await store.claim("a", 10))[1].body
    monkeypatch.setattr(store_module, "MAX_BYTES", 1_000)
    assert await store.store(_event("r3"), ["a"]) == "full"
    await _make_due(redis, keys.WEBHOOK_RUNS, "r3")
    assert await store.claim_runs(10) == ["r3"]

    await store.delivered("r1", "a")
    assert await store.store(_event("r3"), ["a"]) == "whole"
