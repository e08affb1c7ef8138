from typing import Any

import pytest

from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from shared.runs.chat_index import ChatIndex
from shared.webhooks import store as store_module
from shared.webhooks.deliveries import WebhookDeliveries
from shared.webhooks.event import WebhookEvent
from shared.webhooks.retries import GIVE_UP_SECONDS
from shared.webhooks.store import KEPT_MS, LEASE_MS, WebhookStore


def _event(run_id: str, text: str = "Hello") -> WebhookEvent:
    data = {"runId": run_id, "message": {"parts": [{"type": "text", "text": text}]}}
    return WebhookEvent(run_id, "run.succeeded", 1_000, data)


async def _make_due(redis: Redis, key: str, run_id: str) -> None:
    await redis.execute_command("ZADD", key, "XX", 1, run_id)


async def _add_run(redis: Redis, run_id: str, due: int = 1) -> None:
    await redis.execute_command("ZADD", keys.WEBHOOK_RUNS, due, run_id)
    await redis.execute_command("PEXPIRE", keys.WEBHOOK_RUNS, 600_000)


async def _store(redis: Redis, *destinations: str, run_id: str = "r1") -> WebhookStore:
    """Store the webhook of a run that has ended."""
    store = WebhookStore(redis)
    await _add_run(redis, run_id)
    assert await store.store(_event(run_id), destinations) == "whole"
    return store


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


async def test_run_that_was_erased_meanwhile_is_not_stored(redis: Redis) -> None:
    store = WebhookStore(redis)
    await _add_run(redis, "r1")
    assert await store.claim_runs(10) == ["r1"]
    await ChatIndex(redis).remove("owner", "chat", ["r1"])

    assert await store.store(_event("r1"), ["a"]) == "known"

    assert await _webhook_keys(redis) == []


async def test_delivered_webhook_is_not_stored_by_a_slow_worker(redis: Redis) -> None:
    store = WebhookStore(redis)
    await _add_run(redis, "r1")
    assert await store.claim_runs(10) == ["r1"]
    assert await store.store(_event("r1"), ["a"]) == "whole"
    await store.delivered("r1", "a")

    assert await store.store(_event("r1"), ["a"]) == "known"

    assert await _webhook_keys(redis) == []


async def test_leased_webhook_is_sent_again_after_its_lease(redis: Redis) -> None:
    store = await _store(redis, "a")

    assert await store.claim("a", 10)
    assert await store.claim("a", 10) == []
    now = await redis.execute_command("TIME")
    [due] = await redis.execute_command("ZMSCORE", keys.webhook_due("a"), "r1")
    assert 0 < float(due) - int(now[0]) * 1000 <= LEASE_MS + 1000
    await _make_due(redis, keys.webhook_due("a"), "r1")
    assert await store.claim("a", 10)


async def test_webhook_is_deleted_after_the_last_delivery(redis: Redis) -> None:
    store = await _store(redis, "a", "b")

    await store.delivered("r1", "a")
    await store.delivered("r1", "a")

    assert await store.claim("a", 10) == []
    assert await store.claim("b", 10)
    await store.delivered("r1", "b")
    assert await _webhook_keys(redis) == []


async def test_failed_attempts_are_counted_until_given_up(redis: Redis) -> None:
    store = await _store(redis, "a")

    for expected in (0, 1):
        [webhook] = await store.claim("a", 10)
        assert webhook.failed_attempts == expected
        assert await store.failed(webhook, "a", result="500", retry_in=0)
    [webhook] = await store.claim("a", 10)
    assert await store.failed(webhook, "a", result="410", retry_in=None)

    assert await store.claim("a", 10) == []
    assert await redis.execute_command("ZRANGE", keys.webhook_failed("a"), 0, -1) == [b"r1"]
    fields: list[Any] = await redis.execute_command(
        "HMGET", keys.webhook("r1"), "attempts:a", "result:a"
    )
    assert fields == [b"3", b"410"]


async def test_late_failure_does_not_revive_a_delivered_webhook(redis: Redis) -> None:
    store = await _store(redis, "a")
    [webhook] = await store.claim("a", 10)
    await store.delivered("r1", "a")

    assert not await store.failed(webhook, "a", result="timeout", retry_in=1)

    assert await _webhook_keys(redis) == []


async def test_failure_from_before_a_resend_is_ignored(redis: Redis) -> None:
    store = await _store(redis, "a")
    await redis.execute_command("HSET", keys.webhook("r1"), "since:a", 1_000)
    [webhook] = await store.claim("a", 10)
    assert webhook.since == 1_000
    assert webhook.age_ms > GIVE_UP_SECONDS * 1000
    assert await WebhookDeliveries(redis).resend("r1", ["a"]) == ["a"]

    assert not await store.failed(webhook, "a", result="timeout", retry_in=None)

    [again] = await store.claim("a", 10)
    assert again.failed_attempts == 0
    assert await redis.execute_command("EXISTS", keys.webhook_failed("a")) == 0


async def test_given_up_webhook_is_kept_as_long_as_its_listing(redis: Redis) -> None:
    store = await _store(redis, "a")
    [webhook] = await store.claim("a", 10)
    stored = (keys.webhook("r1"), keys.WEBHOOK_BYTES, keys.WEBHOOK_STORED)
    for name in stored:
        await redis.execute_command("PEXPIRE", name, 60_000)
    await redis.execute_command("ZADD", keys.WEBHOOK_STORED, 1, "r1")

    await store.failed(webhook, "a", result="410", retry_in=None)

    for name in stored:
        assert await redis.execute_command("PTTL", name) > KEPT_MS - 60_000
    assert (await WebhookDeliveries(redis).counts(["a"]))["a"].failed == 1


async def test_expired_webhook_does_not_count_as_given_up(redis: Redis) -> None:
    store, deliveries = await _store(redis, "a"), WebhookDeliveries(redis)
    [webhook] = await store.claim("a", 10)
    await store.failed(webhook, "a", result="410", retry_in=None)
    await redis.execute_command("DEL", keys.webhook("r1"))
    now = await redis_time_ms(redis)
    await redis.execute_command("ZADD", keys.webhook_failed("a"), now - KEPT_MS, "r1")
    assert (await deliveries.counts(["a"]))["a"].failed == 0

    assert await deliveries.resend("r1", ["a"]) == []

    assert await deliveries.failed_runs("a") == []


async def test_each_destination_is_listed(redis: Redis) -> None:
    deliveries = WebhookDeliveries(redis)
    for run_id in ("r1", "r2", "r3"):
        store = await _store(redis, "a", "b", run_id=run_id)
    for webhook in await store.claim("a", 2):
        await store.failed(webhook, "a", result="410", retry_in=None)
    given_up = await deliveries.failed_runs("a")

    found = await deliveries.newest(["a", "b"], 2)
    everything = await deliveries.newest(["a", "b"], 10)

    assert [row.destination for row in found] == ["a", "a", "b", "b"]
    assert [row.run_id for row in found[:2]] == given_up[::-1]
    assert [row.state for row in everything] == ["failed"] * 2 + ["pending"] * 4


async def test_expired_webhook_is_dropped_from_its_destination(redis: Redis) -> None:
    store = await _store(redis, "a")
    await redis.execute_command("DEL", keys.webhook("r1"))

    assert await store.claim("a", 10) == []
    assert await redis.execute_command("EXISTS", keys.webhook_due("a")) == 0


async def test_undelivered_webhooks_are_limited_in_bytes(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_BYTES", 4_000)
    store = WebhookStore(redis)
    for run_id in ("r1", "r2", "r3"):
        await _add_run(redis, run_id)

    assert await store.store(_event("r1", "x" * 1_000), ["a"]) == "whole"
    assert await store.store(_event("r2", "x" * 1_000), ["a"]) == "short"
    assert b'"messageOmitted":true' in (await store.claim("a", 10))[1].body
    monkeypatch.setattr(store_module, "MAX_BYTES", 1_000)
    assert await store.store(_event("r3"), ["a"]) == "full"
    await _make_due(redis, keys.WEBHOOK_RUNS, "r3")
    assert await store.claim_runs(10) == ["r3"]

    await store.delivered("r1", "a")
    assert await store.store(_event("r3"), ["a"]) == "whole"
