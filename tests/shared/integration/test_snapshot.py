"""One look at the whole house: what is there, what runs, what failed, and nobody's words."""

import asyncio
from typing import Any

from shared.monitoring.snapshot import MOST_RUNS, SystemMonitor
from shared.processes.api_processes import ApiRecord, ApiRegistry
from shared.processes.workers import WorkerRegistry
from shared.redis import keys
from shared.redis.client import Redis, connect
from shared.runs.failed_runs import FailedRuns
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.runs.stores import Stores
from shared.streams.run_state import RunState
from tests.shared.integration.test_metrics_history import no_others, now_ms, observatory
from tests.shared.integration.test_workers import record
from tests.support.fakes.proxy import Proxy
from tests.support.processes import Valkey
from tests.support.wait import until


def run(run_id: str, **more: Any) -> Run:
    fields: dict[str, Any] = {
        "id": run_id,
        "chat_id": "a secret chat",
        "owner": "a secret owner",
        "message_id": "msg",
        "agent": "chat",
        "model": "m",
        "request_id": "req",
    }
    return Run(**{**fields, **more})


async def put(redis: Redis, run_id: str, due: int, *, queue: str = "main", **more: Any) -> None:
    """A run whose job stands in a queue, due in so many seconds."""
    await RunStore(redis, live_ttl=60).create(run(run_id, queue=queue, **more))
    at = await now_ms(redis) + due * 1000
    await redis.execute_command("ZADD", keys.queue(queue), at, run_id)
    await redis.execute_command("PEXPIRE", keys.queue(queue), 60_000)


async def lease(redis: Redis, run_id: str, worker_id: str) -> None:
    await redis.execute_command("SET", keys.lease(run_id), worker_id, "PX", 60_000)


async def test_an_empty_house_has_its_main_queue_and_its_redis(redis: Redis) -> None:
    seen = await observatory(redis).overview()

    assert [queue.name for queue in seen.queues] == ["main"]
    assert (seen.workers, seen.apis, seen.live, seen.failed, seen.samples) == ((),) * 5
    assert abs(seen.at - await now_ms(redis)) < 60_000
    assert seen.redis.up
    assert (seen.redis.memory_bytes or 0) > 100_000
    assert seen.redis.memory_limit_bytes == 0


async def test_queues_are_those_that_are_named_and_those_that_workers_serve(redis: Redis) -> None:
    async def named() -> set[str]:
        return {"agents", "main"}

    serving = record("w").model_copy(update={"queues": (keys.queue("main"), keys.queue("workers"))})
    await WorkerRegistry(redis).renew(serving)
    await put(redis, "r", -30, queue="workers")

    seen = await SystemMonitor(Stores(redis, redis, live_ttl=60, retention=60), named).overview()

    assert [(queue.name, queue.waiting) for queue in seen.queues] == [
        ("main", 0),
        ("agents", 0),
        ("workers", 1),
    ]
    assert 30_000 <= seen.queues[2].oldest_wait_ms < 60_000


async def test_workers_and_api_processes_are_told(redis: Redis) -> None:
    await WorkerRegistry(redis).renew(record("a", running=3))
    await WorkerRegistry(redis).renew(record("b").model_copy(update={"draining": True}))
    await ApiRegistry(redis).renew(ApiRecord(id="p", host="h", pid=1, started_at=0, clients=5))

    seen = await observatory(redis).overview()

    assert [worker.id for worker in seen.workers] == ["a", "b"]
    assert [worker.id for worker in seen.serving] == ["a"]
    assert (seen.slots, seen.running, seen.clients) == (4, 3, 5)


async def test_live_runs_are_told_by_what_they_do_and_without_their_owner(redis: Redis) -> None:
    await put(redis, "waits", -10)
    await put(redis, "runs", 10, queue="other", attempts=1, state=RunState.RUNNING)
    await put(redis, "pauses", 20)
    await lease(redis, "runs", "w")
    serving = record("w").model_copy(update={"queues": (keys.queue("other"),)})
    await WorkerRegistry(redis).renew(serving)

    seen = await observatory(redis).overview()

    assert [(one.id, one.state, one.worker) for one in seen.live] == [
        ("waits", "waiting", None),
        ("runs", "running", "w"),
        ("pauses", "deferred", None),
    ]
    assert seen.live[1].attempts == 1
    assert "secret" not in seen.model_dump_json()


async def test_a_run_that_came_since_the_house_was_looked_at_waits_like_any_other(
    redis: Redis,
) -> None:
    both = observatory(redis)
    await both.snapshot()
    await asyncio.sleep(0.01)
    await put(redis, "new", 0)

    [one] = (await both.overview()).live

    assert one.state == "waiting"


async def test_runs_that_wait_do_not_hide_those_that_are_made(redis: Redis) -> None:
    for number in range(MOST_RUNS + 10):
        await put(redis, f"waits-{number}", -100 + number)
    for number in range(MOST_RUNS + 10):
        await put(redis, f"runs-{number}", 100 + number)
        await lease(redis, f"runs-{number}", "w")

    live = (await observatory(redis).overview()).live

    assert [one.id for one in live[:25]] == [f"waits-{number}" for number in range(25)]
    assert [one.id for one in live[25:]] == [f"runs-{number}" for number in range(25)]


async def test_a_job_that_is_no_run_is_passed_over(redis: Redis) -> None:
    await redis.execute_command("ZADD", keys.QUEUE, 1, "a title")
    await redis.execute_command("PEXPIRE", keys.QUEUE, 60_000)

    seen = await observatory(redis).overview()

    assert (seen.queues[0].waiting, seen.live) == (1, ())


async def test_failed_runs_are_told_the_newest_first_while_they_are_kept(redis: Redis) -> None:
    failed, runs = FailedRuns(redis, retention=60), RunStore(redis, live_ttl=60)
    for run_id in ("old", "new"):
        ended = run(run_id, state=RunState.FAILED, error="model_auth", ended_at=5)
        await runs.create(ended)
    for run_id in ("old", "gone", "new", "new"):
        await failed.add(run_id)

    seen = await observatory(redis).overview()

    assert [(one.id, one.state, one.error, one.ended_at) for one in seen.failed] == [
        ("new", "failed", "model_auth", 5),
        ("old", "failed", "model_auth", 5),
    ]


async def test_the_list_of_failed_runs_is_capped_and_expires(redis: Redis) -> None:
    failed = FailedRuns(redis, retention=60)
    await asyncio.gather(*(failed.add(str(number)) for number in range(300)))

    assert await redis.execute_command("LLEN", keys.FAILED_RUNS) == 200
    assert 0 < await redis.execute_command("PTTL", keys.FAILED_RUNS) <= 60_000


async def test_a_failure_is_not_remembered_by_a_redis_that_is_away_and_nothing_breaks() -> None:
    away = connect("redis://127.0.0.1:1/0", name="test", max_connections=1)
    await FailedRuns(away, retention=60).add("r")
    await away.aclose()


async def test_many_who_look_at_once_cost_one_look(redis: Redis) -> None:
    eye = observatory(redis)
    await redis.execute_command("CONFIG", "RESETSTAT")

    seen = await asyncio.gather(*(eye.overview() for _ in range(20)), eye.snapshot())
    stats = await redis.execute_command("INFO", "commandstats")

    assert stats["cmdstat_info"]["calls"] == 1
    assert len({one.at for one in seen}) == 1


async def test_a_look_costs_the_same_commands_whatever_stands_in_the_queue(redis: Redis) -> None:
    async def commands() -> int:
        await redis.execute_command("CONFIG", "RESETSTAT")
        await observatory(redis).snapshot()
        stats: dict[str, Any] = await redis.execute_command("INFO", "stats")
        return stats["total_commands_processed"]

    await redis.execute_command("ZADD", keys.QUEUE, 1, "one")
    await commands()  # the first opens connections, and loads scripts
    few = await commands()
    for start in range(0, 20_000, 1000):
        rows = [part for n in range(start, start + 1000) for part in (n, str(n))]
        await redis.execute_command("ZADD", keys.QUEUE, *rows)
    await redis.execute_command("PEXPIRE", keys.QUEUE, 60_000)

    assert await commands() == few


async def test_without_redis_the_last_picture_is_told_again(valkey: Valkey, redis: Redis) -> None:
    await put(redis, "r", -1)
    async with Proxy(valkey.port) as proxy:
        through = connect(f"redis://127.0.0.1:{proxy.port}/0", name="test", max_connections=2)
        eye = SystemMonitor(Stores(through, through, live_ttl=60, retention=60), no_others)
        before = await eye.overview()
        proxy.freeze()

        async def away() -> bool:
            return not (await eye.overview()).redis.up

        await until(away)
        seen = await eye.overview(runs=0)
        await through.aclose()

    assert before.redis.up
    assert (seen.at, seen.queues, seen.redis.latency_ms) == (before.at, before.queues, None)


async def test_only_as_much_is_told_as_is_asked_for(redis: Redis) -> None:
    for number in range(5):
        await put(redis, f"r{number}", -10 + number)
    eye = observatory(redis)

    assert [one.id for one in (await eye.overview(runs=2)).live] == ["r0", "r1"]
    assert (await eye.overview(samples=0)).samples == ()
    assert await eye.samples(0) == ()
