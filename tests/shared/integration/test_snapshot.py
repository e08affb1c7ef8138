"""The system snapshot: queues, processes, live and failed runs, without user content."""

import asyncio
from typing import Any

import pytest

from shared.monitoring.snapshot import MAX_RUNS, SystemMonitor, WebhookSnapshot
from shared.processes.api_processes import ApiRecord, ApiRegistry
from shared.processes.workers import WorkerRegistry
from shared.redis import keys
from shared.redis.client import Redis, connect, redis_time_ms
from shared.runs.ended_runs import EndedRuns
from shared.runs.store import RunStore
from shared.runs.stores import Stores
from shared.streams.run_state import RunState
from tests.support.fakes.jobs import lease_job, put_job
from tests.support.fakes.proxy import Proxy
from tests.support.fakes.runs import private_run, put_run
from tests.support.fakes.workers import record
from tests.support.monitoring.monitors import no_queues, open_monitor
from tests.support.processes import Valkey
from tests.support.wait import until


async def lease(redis: Redis, run_id: str, worker_id: str) -> None:
    await redis.execute_command("SET", keys.lease(run_id), worker_id, "PX", 60_000)


async def test_empty_deployment_reports_main_queue_and_redis(redis: Redis) -> None:
    overview = await open_monitor(redis).overview()

    assert [queue.name for queue in overview.queues] == ["main"]
    assert (overview.workers, overview.apis, overview.live, overview.failed, overview.samples) == (
        (),
    ) * 5
    assert abs(overview.at - await redis_time_ms(redis)) < 60_000
    assert overview.redis.up
    assert (overview.redis.memory_bytes or 0) > 100_000
    assert overview.redis.memory_limit_bytes == 0


async def test_queues_of_agents_and_workers_are_listed(redis: Redis) -> None:
    async def agent_queues() -> set[str]:
        return {"agents", "main"}

    serving = record("w").model_copy(update={"queues": ("main", "workers")})
    await WorkerRegistry(redis).renew(serving)
    await put_run(redis, "r", -30, queue="workers")

    overview = await SystemMonitor(
        Stores(redis, redis, live_ttl=60, retention=60), agent_queues
    ).overview()

    assert [(queue.name, queue.waiting) for queue in overview.queues] == [
        ("main", 0),
        ("agents", 0),
        ("workers", 1),
    ]
    assert 30_000 <= overview.queues[2].oldest_wait_ms < 60_000


async def test_workers_and_api_processes_are_listed(redis: Redis) -> None:
    await WorkerRegistry(redis).renew(record("a", running=3))
    await WorkerRegistry(redis).renew(record("b").model_copy(update={"draining": True}))
    await ApiRegistry(redis).renew(ApiRecord(id="p", host="h", pid=1, started_at=0, clients=5))

    overview = await open_monitor(redis).overview()

    assert [worker.id for worker in overview.workers] == ["a", "b"]
    assert [worker.id for worker in overview.serving] == ["a"]
    assert (overview.slots, overview.running, overview.clients) == (4, 3, 5)


@pytest.mark.parametrize(
    ("running", "waiting", "expected_ms"), [(3, 0, 0), (2, 1, 0), (4, 0, 2000), (4, 3, 8000)]
)
async def test_expected_wait_is_zero_only_while_slots_are_free(
    redis: Redis, running: int, waiting: int, expected_ms: int
) -> None:
    await WorkerRegistry(redis).renew(record("w", running=running))
    for number in range(running):
        await put_job(redis, f"running-{number}", due=30_000)
        await lease_job(redis, f"running-{number}")
    for number in range(waiting):
        await put_job(redis, f"waiting-{number}", due=-1)
    await redis.execute_command("HSET", keys.virtual_clock(keys.QUEUE), "cost", "8")
    await redis.execute_command("PEXPIRE", keys.virtual_clock(keys.QUEUE), 60_000)

    [queue] = (await open_monitor(redis).snapshot()).queues

    assert queue.expected_wait_ms == expected_ms


async def test_undelivered_webhooks_of_destinations_are_counted(redis: Redis) -> None:
    now = await redis_time_ms(redis)
    for key, run_id, at in (
        (keys.webhook_due("crm"), "pending", now),
        (keys.webhook_due("crm"), "retrying", now + 3_600_000),
        (keys.webhook_failed("crm"), "failed", now),
        (keys.webhook_failed("removed"), "other", now),
    ):
        await redis.execute_command("ZADD", key, at, run_id)
        await redis.execute_command("PEXPIRE", key, 60_000)
    stores = Stores(redis, redis, live_ttl=60, retention=60)

    overview = await SystemMonitor(stores, no_queues, lambda: ["crm", "log"]).overview()

    assert overview.webhooks == (
        WebhookSnapshot(destination="crm", pending=1, retrying=1, failed=1),
        WebhookSnapshot(destination="log", pending=0, retrying=0, failed=0),
    )


async def test_live_runs_are_listed_without_their_owner(redis: Redis) -> None:
    await put_run(redis, "waits", -10)
    await put_run(redis, "runs", 10, queue="other", attempts=1, state=RunState.RUNNING)
    await put_run(redis, "pauses", 20)
    await lease(redis, "runs", "w")
    serving = record("w").model_copy(update={"queues": ("other",)})
    await WorkerRegistry(redis).renew(serving)

    overview = await open_monitor(redis).overview()

    assert [(run.id, run.state, run.worker) for run in overview.live] == [
        ("waits", "waiting", None),
        ("runs", "running", "w"),
        ("pauses", "deferred", None),
    ]
    assert overview.live[1].attempts == 1
    assert "secret" not in overview.model_dump_json()


async def test_run_created_after_the_snapshot_is_waiting(
    redis: Redis,
) -> None:
    monitor = open_monitor(redis)
    await monitor.snapshot()
    taken_at = await redis_time_ms(redis)
    await until(lambda: _is_later(redis, taken_at))
    await put_run(redis, "new", 0)

    [run] = (await monitor.overview()).live

    assert run.state == "waiting"


async def _is_later(redis: Redis, than: int) -> bool:
    return await redis_time_ms(redis) > than


async def test_waiting_runs_do_not_hide_running_ones(redis: Redis) -> None:
    for number in range(MAX_RUNS + 10):
        await put_run(redis, f"waits-{number}", -100 + number)
    for number in range(MAX_RUNS + 10):
        await put_run(redis, f"runs-{number}", 100 + number)
        await lease(redis, f"runs-{number}", "w")

    live = (await open_monitor(redis).overview()).live

    assert [run.id for run in live[:25]] == [f"waits-{number}" for number in range(25)]
    assert [run.id for run in live[25:]] == [f"runs-{number}" for number in range(25)]


async def test_job_without_a_run_is_not_listed(redis: Redis) -> None:
    await redis.execute_command("ZADD", keys.QUEUE, 1, "a title")
    await redis.execute_command("PEXPIRE", keys.QUEUE, 60_000)

    overview = await open_monitor(redis).overview()

    assert (overview.queues[0].waiting, overview.live) == (1, ())


async def test_failed_runs_are_listed_newest_first(redis: Redis) -> None:
    failed, runs = EndedRuns(redis, retention=60), RunStore(redis, live_ttl=60)
    for run_id in ("old", "new"):
        ended = private_run(run_id, state=RunState.FAILED, error="model_auth", ended_at=5)
        await runs.create(ended)
    for run_id in ("old", "gone", "new", "new"):
        await failed.add(run_id, failed=True)

    overview = await open_monitor(redis).overview()

    assert [(run.id, run.state, run.error, run.ended_at) for run in overview.failed] == [
        ("new", "failed", "model_auth", 5),
        ("old", "failed", "model_auth", 5),
    ]


async def test_list_of_failed_runs_is_capped_and_expires(redis: Redis) -> None:
    failed = EndedRuns(redis, retention=60)
    await asyncio.gather(*(failed.add(str(number), failed=True) for number in range(300)))

    assert await redis.execute_command("LLEN", keys.FAILED_RUNS) == 200
    assert 0 < await redis.execute_command("PTTL", keys.FAILED_RUNS) <= 60_000


async def test_unavailable_redis_does_not_break_failed_runs() -> None:
    unreachable = connect("redis://127.0.0.1:1/0", name="test", max_connections=1)
    await EndedRuns(unreachable, retention=60).add("r", failed=True)
    await unreachable.aclose()


async def test_concurrent_overviews_share_one_snapshot(redis: Redis) -> None:
    monitor = open_monitor(redis)
    await redis.execute_command("CONFIG", "RESETSTAT")

    snapshots = await asyncio.gather(*(monitor.overview() for _ in range(20)), monitor.snapshot())
    stats = await redis.execute_command("INFO", "commandstats")

    assert stats["cmdstat_info"]["calls"] == 1
    assert len({snapshot.at for snapshot in snapshots}) == 1


async def test_snapshot_cost_is_independent_of_queue_length(redis: Redis) -> None:
    async def commands() -> int:
        await redis.execute_command("CONFIG", "RESETSTAT")
        await open_monitor(redis).snapshot()
        stats: dict[str, Any] = await redis.execute_command("INFO", "stats")
        return stats["total_commands_processed"]

    await redis.execute_command("ZADD", keys.QUEUE, 1, "one")
    await commands()  # the first call opens connections and loads scripts
    few = await commands()
    for start in range(0, 20_000, 1000):
        rows = [part for n in range(start, start + 1000) for part in (n, str(n))]
        await redis.execute_command("ZADD", keys.QUEUE, *rows)
    await redis.execute_command("PEXPIRE", keys.QUEUE, 60_000)

    assert await commands() == few


async def test_last_snapshot_is_returned_without_redis(valkey: Valkey, redis: Redis) -> None:
    await put_run(redis, "r", -1)
    async with Proxy(valkey.port) as proxy:
        proxied = connect(f"redis://127.0.0.1:{proxy.port}/0", name="test", max_connections=2)
        monitor = SystemMonitor(Stores(proxied, proxied, live_ttl=60, retention=60), no_queues)
        before = await monitor.overview()
        proxy.freeze()

        async def is_down() -> bool:
            return not (await monitor.overview()).redis.up

        await until(is_down)
        overview = await monitor.overview()
        await proxied.aclose()

    assert before.redis.up
    assert (overview.at, overview.queues, overview.redis.latency_ms) == (
        before.at,
        before.queues,
        None,
    )


async def test_overview_limits_samples(redis: Redis) -> None:
    await put_run(redis, "r", -1)
    monitor = open_monitor(redis)

    assert (await monitor.overview(samples=0)).samples == ()
    assert await monitor.samples(0) == ()
