"""Workers register themselves, and expire if they stop renewing."""

import asyncio
import socket

from shared.processes.registry import ProcessHeartbeat, ProcessIdentity, ProcessRecord
from shared.processes.workers import WorkerRecord, WorkerRegistry
from shared.redis import keys
from shared.redis.client import Redis, connect
from tests.support.fakes.workers import record
from tests.support.processes import Valkey, Worker, free_port, start_all, stop_all
from tests.support.wait import until


def test_queues_are_keys_in_stored_records() -> None:
    served = record("a").model_copy(update={"queues": ("main", "slow")})

    stored = served.model_dump_json()

    assert '"queues":["mamba:queue","mamba:queues:slow"]' in stored
    assert WorkerRecord.model_validate_json(stored) == served


async def test_workers_are_listed_with_their_latest_records(redis: Redis) -> None:
    workers = WorkerRegistry(redis)
    await workers.renew(record("young", started_at=2))
    await workers.renew(record("old", started_at=1))
    await workers.renew(record("young", started_at=2, running=3))

    found = await workers.alive()

    assert [(worker.id, worker.running) for worker in found] == [("old", 0), ("young", 3)]


async def test_deregistered_worker_is_removed_at_once(redis: Redis) -> None:
    workers = WorkerRegistry(redis)
    await workers.renew(record("a"))
    await workers.renew(record("b"))

    await workers.deregister(record("a"))

    assert [worker.id for worker in await workers.alive()] == ["b"]


async def test_worker_that_stops_renewing_expires(redis: Redis) -> None:
    await WorkerRegistry(redis).renew(record("stays"))
    await WorkerRegistry(redis, alive_seconds=0.2).renew(record("silent"))

    async def only_one() -> bool:
        return [worker.id for worker in await WorkerRegistry(redis).alive()] == ["stays"]

    await until(only_one)
    # The id is kept for an hour, so that the process can be reported as vanished.
    long_gone = await redis.execute_command("ZADD", keys.WORKERS, 1, "gone")
    assert long_gone == 1
    await WorkerRegistry(redis).renew(record("stays"))
    assert await redis.execute_command("ZRANGE", keys.WORKERS, 0, -1) == [b"silent", b"stays"]


async def test_start_does_not_wait_for_a_second_renewal() -> None:
    client = connect(f"redis://127.0.0.1:{free_port()}/0", name="test", max_connections=1)
    heartbeat = ProcessHeartbeat(
        WorkerRegistry(client), ProcessIdentity(), lambda process: record(process.id)
    )

    async with heartbeat, asyncio.timeout(60):
        await heartbeat.wait_for_first_renewal()
    await client.aclose()


async def test_start_does_not_wait_for_a_renewal_that_is_broken(redis: Redis) -> None:
    def fail(_: ProcessRecord) -> WorkerRecord:
        raise ValueError

    heartbeat = ProcessHeartbeat(WorkerRegistry(redis), ProcessIdentity(), fail).start()

    async with asyncio.timeout(60):
        await heartbeat.wait_for_first_renewal()
    await heartbeat.stop()


async def test_worker_process_is_listed_until_it_stops(redis: Redis, valkey: Valkey) -> None:
    process = Worker(valkey.url, "http://127.0.0.1:9/v1", {"MAMBA_WORKER__CONCURRENCY": "7"})
    try:
        await start_all(process)  # returns when the worker has logged its start
        [found] = await WorkerRegistry(redis).alive()
        assert (found.host, found.pid) == (socket.gethostname(), process.child.pid)
        assert (found.queues, found.running, found.concurrency) == ((keys.MAIN_QUEUE,), 0, 7)
        assert not found.draining
    finally:
        await stop_all(process)

    assert await WorkerRegistry(redis).alive() == []
