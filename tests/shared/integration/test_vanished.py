"""Workers that stop without shutting down are counted once for the whole deployment."""

import pytest
from structlog.testing import capture_logs

from shared.processes import vanished
from shared.processes.vanished import VanishedWorkers
from shared.processes.workers import WorkerRegistry
from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from tests.support.fakes.workers import record
from tests.support.monitoring.monitors import open_monitor, open_sampler
from tests.support.monitoring.vanished import leave_as_killed, observe_for_a_minute

HOUR_MS = 3_600_000


async def test_vanished_worker_is_counted_once_by_all_observers(redis: Redis) -> None:
    await WorkerRegistry(redis).renew(record("alive"))
    await leave_as_killed(redis, "killed", running=3)
    await observe_for_a_minute(redis)

    first = await VanishedWorkers(redis).observe()
    others = [await VanishedWorkers(redis).observe() for _ in range(3)]

    assert [(worker.id, worker.host, worker.running) for worker in first] == [("killed", "host", 3)]
    assert others == [[], [], []]
    assert await VanishedWorkers(redis).total() == 1
    snapshot = await open_monitor(redis).snapshot()
    assert snapshot.vanished == tuple(first)
    assert snapshot.vanished_total == 1
    assert 19_000 < snapshot.at - snapshot.vanished[0].seen_at < 40_000


async def test_worker_that_shuts_down_does_not_vanish(redis: Redis) -> None:
    await WorkerRegistry(redis).renew(record("stopped"))
    await WorkerRegistry(redis).deregister(record("stopped"))
    await observe_for_a_minute(redis)

    assert await VanishedWorkers(redis).observe() == []


async def test_late_heartbeat_is_forgiven(redis: Redis) -> None:
    await leave_as_killed(redis, "late", ago_ms=8000)
    await observe_for_a_minute(redis)

    assert await VanishedWorkers(redis).observe() == []


@pytest.mark.parametrize("last_ms_ago", [None, 60_000])
async def test_workers_get_time_to_return_after_an_outage(
    redis: Redis, last_ms_ago: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave_as_killed(redis, "away")
    if last_ms_ago is not None:
        now = await redis_time_ms(redis)
        fields = ("since", now - HOUR_MS, "last", now - last_ms_ago)
        await redis.execute_command("HSET", keys.WORKER_WATCH, *fields)

    at_once = await VanishedWorkers(redis).observe()
    monkeypatch.setattr(vanished, "_GRACE_MS", 0)
    later = await VanishedWorkers(redis).observe()

    assert at_once == []
    assert [worker.id for worker in later] == ["away"]


async def test_worker_that_returns_is_no_longer_listed(redis: Redis) -> None:
    await leave_as_killed(redis, "paused")
    await observe_for_a_minute(redis)
    await VanishedWorkers(redis).observe()

    await WorkerRegistry(redis).renew(record("paused"))

    assert (await open_monitor(redis).snapshot()).vanished == ()
    assert await VanishedWorkers(redis).total() == 1


async def test_undecodable_ids_and_records_are_shown_safely(redis: Redis) -> None:
    await redis.execute_command("ZADD", keys.WORKERS, 1, b"\xff\x1b[2J", 2, b"%s%d", "-inf", "odd")
    await redis.execute_command("SET", keys.worker_record("%s%d"), b"\xff{", "PX", 60_000)
    await redis.execute_command("PEXPIRE", keys.WORKERS, 60_000)
    await observe_for_a_minute(redis)

    found = await VanishedWorkers(redis).observe()
    snapshot = await open_monitor(redis).snapshot()

    assert {worker.id for worker in found} == {"\ufffd\x1b[2J", "%s%d", "odd"}
    assert len(snapshot.vanished) == 3
    assert {worker.pid for worker in snapshot.vanished} == {0}


async def test_sampler_logs_the_vanished_worker(redis: Redis) -> None:
    await leave_as_killed(redis, "killed", running=2)
    await observe_for_a_minute(redis)

    with capture_logs() as logs:
        await open_sampler(redis).report_vanished()

    [line] = logs
    assert (line["event"], line["log_level"]) == ("worker.vanished", "warning")
    assert (line["worker_id"], line["host"], line["running"]) == ("killed", "host", 2)
