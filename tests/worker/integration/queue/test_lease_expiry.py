"""Leases of workers whose link to Redis fails."""

import time
from collections.abc import AsyncGenerator

import pytest

from shared.redis.client import Redis
from tests.support.fakes.proxy import Proxy
from tests.support.processes import Valkey
from tests.support.wait import until
from tests.support.worker_pool import (
    PoolWorker,
    WorkerPool,
    open_worker_pool,
    run_forever,
    succeed,
    until_true,
)

_LEASE = 3.0


@pytest.fixture
async def link(valkey: Valkey) -> AsyncGenerator[Proxy]:
    async with Proxy(valkey.port) as link:
        yield link


@pytest.fixture
async def distant(link: Proxy, redis: Redis) -> AsyncGenerator[WorkerPool]:
    """Workers behind the link."""
    async with open_worker_pool(f"redis://127.0.0.1:{link.port}/0", redis) as pool:
        yield pool


async def test_silent_link_stops_jobs_when_their_leases_expire(
    link: Proxy, distant: WorkerPool, pool: WorkerPool
) -> None:
    isolated = distant.start_worker("isolated", run_forever, lease_seconds=_LEASE)
    await pool.enqueue("job")
    await until_true(lambda: isolated.started == ["job"])
    successor = pool.start_worker("successor", succeed, poll_seconds=0.05)

    link.pause()
    await until_true(lambda: isolated.lost == ["job"])
    await until_true(lambda: successor.started == ["job"])
    await until(pool.is_empty)
    link.resume()

    await until_true(lambda: not isolated.lease_worker.job_counter, seconds=20)
    assert isolated.started == ["job"]


async def test_job_whose_lease_expires_during_its_claim_is_not_started(pool: WorkerPool) -> None:
    slow = PoolWorker("slow", pool.connect("slow"), run_forever, lease_seconds=0.5)
    claimed, proceed = slow.hold_claims()
    await pool.enqueue("job")
    slow.start()
    await claimed.wait()
    other = pool.start_worker("other", run_forever, poll_seconds=0.05)
    await until_true(lambda: other.started == ["job"])

    proceed.set()
    await pool.wait_for_idle(2)

    assert slow.started == []
    assert await pool.leased_by("job") == "other"
    await slow.shut_down()


async def test_half_open_link_is_replaced_before_leases_expire(
    link: Proxy, distant: WorkerPool, pool: WorkerPool
) -> None:
    worker = distant.start_worker("worker", run_forever, lease_seconds=_LEASE)
    await pool.enqueue("job")
    await until_true(lambda: worker.started == ["job"])
    other = pool.start_worker("other", succeed, poll_seconds=0.05)

    link.freeze_connections()
    deadline = time.monotonic() + 2 * _LEASE
    await until_true(lambda: time.monotonic() > deadline)

    assert not worker.lost
    assert not other.started
    assert await pool.leased_by("job") == "worker"
