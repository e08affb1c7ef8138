"""Jobs and leases are corrected after the clock of Redis was set back, and runs do not age.

A clock that is set back leaves all times in the future, so the tests write such times.
"""

import pytest
from structlog.testing import capture_logs

from shared.processes.api_processes import ApiRecord, ApiRegistry
from shared.processes.workers import WorkerRegistry
from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from shared.webhooks.event import WebhookEvent
from shared.webhooks.store import WebhookStore
from tests.support.fakes.workers import record
from tests.support.stream_harness import LIVE_TTL, redis_harness

SET_BACK_MS = 300_000
LEASE_MS = 3000


async def add_member(redis: Redis, zset: str, score: int, member: str) -> None:
    await redis.execute_command("ZADD", zset, score, member)
    await redis.execute_command("PEXPIRE", zset, 600_000)


async def add(
    redis: Redis, job_id: str, due: int, *, lease_ms: int = 0, queue: str = "main"
) -> None:
    await add_member(redis, keys.queue(queue), due, job_id)
    await add_member(redis, keys.QUEUES, due, queue)
    if lease_ms:
        await redis.execute_command("SET", keys.lease(job_id), "worker", "PX", lease_ms)


async def due_in(redis: Redis, member: str, zset: str = keys.QUEUE) -> float:
    """Return in how many milliseconds a job or a webhook is due."""
    score: bytes = await redis.execute_command("ZSCORE", zset, member)
    return float(score) - await redis_time_ms(redis)


async def renew_after_set_back(redis: Redis) -> int:
    """Leave a heartbeat from before the clock was set back, renew another, and return the time."""
    before = await redis_time_ms(redis) + SET_BACK_MS
    await add_member(redis, keys.WORKERS, before + 6000, "from-before")
    await add_member(redis, keys.API_PROCESSES, before + 6000, "from-before")
    await WorkerRegistry(redis).renew(record("a"))
    return before


async def test_waiting_jobs_of_all_queues_are_due_at_once(redis: Redis) -> None:
    before = await redis_time_ms(redis) + SET_BACK_MS
    await add(redis, "waiting", before)
    await add(redis, "elsewhere", before - 1000, queue="slow")

    await renew_after_set_back(redis)

    assert await due_in(redis, "waiting") <= 0
    assert await due_in(redis, "elsewhere", keys.queue("slow")) <= 0


async def test_webhooks_keep_the_rest_of_their_delay(redis: Redis) -> None:
    before = await redis_time_ms(redis) + SET_BACK_MS
    store = WebhookStore(redis)
    for run_id, destination in [("r1", "crm"), ("r2", "audit: log")]:
        await add_member(redis, keys.WEBHOOK_RUNS, 1, run_id)
        await store.store(WebhookEvent(run_id, "run.succeeded", 1, {}), [destination])
    await add_member(redis, keys.webhook_due("crm"), before + 60_000, "r1")
    await add_member(redis, keys.webhook_due("audit: log"), before - 1000, "r2")

    await renew_after_set_back(redis)

    assert 50_000 < await due_in(redis, "r1", keys.webhook_due("crm")) <= 60_000
    assert [due.run_id for due in await store.claim("audit: log", 10)] == ["r2"]


async def test_lease_from_before_expires_when_it_should_have(redis: Redis) -> None:
    before = await redis_time_ms(redis) + SET_BACK_MS
    await add(redis, "held", before + LEASE_MS, lease_ms=SET_BACK_MS + LEASE_MS)

    await renew_after_set_back(redis)

    assert 0 < await redis.execute_command("PTTL", keys.lease("held")) <= LEASE_MS
    assert 0 < await due_in(redis, "held") <= LEASE_MS


async def test_lease_that_was_renewed_since_is_kept(redis: Redis) -> None:
    now = await redis_time_ms(redis)
    await add(redis, "renewed", now + LEASE_MS, lease_ms=LEASE_MS)

    await renew_after_set_back(redis)

    assert LEASE_MS / 2 < await redis.execute_command("PTTL", keys.lease("renewed")) <= LEASE_MS
    assert LEASE_MS / 2 < await due_in(redis, "renewed") <= LEASE_MS


async def test_deferred_job_keeps_the_rest_of_its_delay(redis: Redis) -> None:
    before = await redis_time_ms(redis) + SET_BACK_MS
    await add(redis, "deferred", before + 60_000)

    await renew_after_set_back(redis)

    assert 50_000 < await due_in(redis, "deferred") <= 60_000


async def test_second_process_corrects_nothing(redis: Redis) -> None:
    await renew_after_set_back(redis)
    await add(redis, "deferred", await redis_time_ms(redis) + 60_000)

    with capture_logs() as logs:
        await WorkerRegistry(redis).renew(record("b"))
        await ApiRegistry(redis).renew(ApiRecord(id="p", host="h", pid=1, started_at=0, clients=0))

    assert logs == []
    assert 50_000 < await due_in(redis, "deferred") <= 60_000
    assert [worker.id for worker in await WorkerRegistry(redis).alive()] == ["a", "b"]


async def test_correction_is_logged_with_its_size(redis: Redis) -> None:
    with capture_logs() as logs:
        await renew_after_set_back(redis)

    [entry] = logs
    assert entry["event"] == "redis.clock_set_back"
    assert entry["seconds"] == pytest.approx(SET_BACK_MS / 1000, abs=1)


async def test_clock_that_was_set_forward_does_not_time_out_a_run(redis: Redis) -> None:
    harness = redis_harness(redis)
    run_id, _ = await harness.begin_run()
    run = keys.run(run_id)
    await redis.execute_command("HINCRBY", run, "started_at", -SET_BACK_MS)
    await redis.execute_command("PEXPIRE", run, LIVE_TTL * 1000 - SET_BACK_MS)

    takeovers = [await harness.stream.take_over(run_id) for _ in range(2)]

    assert max(takeover.elapsed for takeover in takeovers) < 1
