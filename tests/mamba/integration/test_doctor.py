"""`mamba doctor`, `mamba queue` and `mamba worker list` name unserved, full and vanished parts."""

import json
from dataclasses import replace

import pytest

from mamba.operate.deployment import Deployment, open_deployment
from mamba.operate.doctor.redis_checks import check_queue_server
from mamba.operate.doctor.worker_checks import check_workers
from mamba.operate.queues import pages
from shared.processes.vanished import VanishedWorkers
from shared.processes.workers import WorkerRegistry
from shared.redis.client import Redis
from shared.redis.failover import MIN_REPLICAS_FIX
from shared.settings import RedisSettings, Settings
from tests.support.fakes.jobs import use_queue
from tests.support.fakes.workers import serving
from tests.support.monitoring.vanished import leave_as_killed, observe_for_a_minute
from tests.support.processes import Valkey, start_all, stop_all
from tests.support.redis_sentinel import open_replica_pair
from tests.support.wait import until


async def test_doctor_names_a_waiting_queue_without_workers(
    deployment: Deployment, redis: Redis
) -> None:
    await WorkerRegistry(redis).renew(serving("w", "main", running=1))
    await use_queue(redis, "unserved")

    findings = {finding.part: finding for finding in await check_workers(deployment)}

    unserved = findings["queue unserved"]
    assert (unserved.status, findings["queue main"].status) == ("error", "ok")
    assert "1 waiting, 0 running, 0 deferred, no worker serves it" in unserved.message
    assert unserved.fix == "start a worker with unserved in worker.queues"
    assert findings["queue main"].message.endswith("1 of 4 slots in use")


async def test_doctor_names_a_full_pool_while_another_is_idle(
    deployment: Deployment, redis: Redis
) -> None:
    await WorkerRegistry(redis).renew(serving("idle", "main", running=0))
    await WorkerRegistry(redis).renew(serving("full", "code", running=4))

    findings = {finding.part: finding for finding in await check_workers(deployment)}

    assert findings["workers"].status == findings["queue main"].status == "ok"
    assert findings["queue code"].status == "warning"
    assert "4 of 4 slots in use" in findings["queue code"].message


async def test_doctor_names_vanished_workers(deployment: Deployment, redis: Redis) -> None:
    await WorkerRegistry(redis).renew(serving("alive", "main", running=0))
    for number in range(7):
        await leave_as_killed(redis, f"killed-{number}", running=2)
    await observe_for_a_minute(redis)
    await VanishedWorkers(redis).observe()

    messages = [f.message for f in await check_workers(deployment) if f.status == "warning"]

    assert len(messages) == 6
    assert messages[0].startswith("killed-")
    assert messages[0].endswith("ago with 2 runs")
    assert messages[-1] == "2 more have vanished within the last hour"


async def test_doctor_warns_of_writes_that_no_replica_receives(
    deployment: Deployment, valkey: Valkey, redis: Redis
) -> None:
    replica = Valkey(options=["--replicaof", "127.0.0.1", str(valkey.port)])

    async def is_connected() -> bool:
        return (await redis.execute_command("INFO", "replication"))["connected_slaves"] == 1

    async def warnings() -> list[str]:
        found = await check_queue_server(deployment)
        return [finding.fix for finding in found if "no replica receives" in finding.message]

    assert not await warnings()
    await start_all(replica)
    try:
        await until(is_connected)
        assert await warnings() == [MIN_REPLICAS_FIX]
        await redis.execute_command("CONFIG", "SET", "min-replicas-to-write", 1)
        assert not await warnings()
    finally:
        await redis.execute_command("CONFIG", "SET", "min-replicas-to-write", 0)
        await stop_all(replica)


async def test_queue_lists_every_queue_with_jobs(
    deployment: Deployment, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    await WorkerRegistry(redis).renew(serving("w", "code", running=4))
    await use_queue(redis, "un\x1b[2Jserved")

    await pages.show(
        deployment, pages.read_queues, pages.PageOptions(20, as_json=False, color=False)
    )
    text = capsys.readouterr().out
    await pages.show(
        deployment, pages.read_queues, pages.PageOptions(20, as_json=True, color=False)
    )
    report = json.loads(capsys.readouterr().out)

    lines = text.splitlines()
    assert lines[0].split()[-3:] == ["WORKERS", "SLOTS", "NOTE"]
    assert lines[1].endswith("0/0    no worker serves it")
    assert lines[2].startswith("code ")
    assert lines[2].endswith("4/4    all slots in use")
    assert lines[3].startswith("un\ufffd[2Jserved ")
    assert "\x1b" not in text
    assert [(q["queue"], q["workers"], q["slots_used"]) for q in report["queues"]] == [
        ("main", 0, 0),
        ("code", 1, 4),
        ("un\x1b[2Jserved", 0, 0),
    ]


async def test_doctor_names_missing_replicas(deployment: Deployment) -> None:
    settings = deployment.settings
    required = settings.redis.model_copy(update={"confirm_replicas": 2})
    strict = replace(deployment, settings=settings.model_copy(update={"redis": required}))

    findings = await check_queue_server(strict)

    [error] = [finding for finding in findings if finding.status == "error"]
    assert "has 0 of the 2 replicas that redis.confirm_replicas requires" in error.message
    assert not any(f.status == "error" for f in await check_queue_server(deployment))


async def test_doctor_counts_replicas_that_can_confirm() -> None:
    async with open_replica_pair() as pair:
        settings = Settings(redis=RedisSettings(url=pair.primary.url, confirm_replicas=1))
        async with open_deployment(settings) as deployment:
            messages = [finding.message for finding in await check_queue_server(deployment)]

    assert any(message.endswith("that can confirm: 1") for message in messages)
