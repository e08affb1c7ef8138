"""Claims, leases and queues of workers on a real queue."""

import asyncio
import time
from typing import Literal

import pytest
from arq.worker import Retry, RetryJob
from prometheus_client import REGISTRY

from shared.queue.announced_waits import LikelyWait, record_announced_waits
from shared.queue.job import RUN_CHAT
from shared.queue.job_queue import JobQueue
from shared.redis import keys
from shared.runs.ended_runs import EndedRuns
from tests.support.wait import until
from tests.support.worker_pool import (
    LEASE,
    PROMPT,
    WorkerPool,
    run_forever,
    succeed,
    until_true,
    wait_for,
)
from worker.queue import lease_scripts, lease_worker


async def test_new_job_wakes_an_idle_worker(pool: WorkerPool) -> None:
    worker = pool.start_worker("a", succeed)
    await pool.wait_for_idle(1)

    start = time.monotonic()
    for number in range(20):
        await pool.enqueue(f"job-{number}")
        await until_true(lambda: len(worker.started) == number + 1)  # noqa: B023
        await until(pool.is_empty)

    # Without wakeups, each job would wait for a poll, after 3 seconds.
    assert time.monotonic() - start < 30


async def test_claim_counts_whether_the_announced_wait_was_right(pool: WorkerPool) -> None:
    def counted() -> float:
        labels = {"queue": keys.MAIN_QUEUE, "outcome": "inside"}
        return REGISTRY.get_sample_value("mamba_announced_waits_total", labels) or 0

    before = counted()
    await pool.enqueue("announced", "other")
    await record_announced_waits(pool.redis, {"announced": LikelyWait(0, 60)})

    pool.start_worker("a", succeed)

    await until(pool.is_empty)
    assert counted() == before + 1


async def test_new_worker_claims_queued_jobs_at_once(pool: WorkerPool) -> None:
    await pool.enqueue("job")
    worker = pool.start_worker("a", succeed)

    await until_true(lambda: worker.started == ["job"], seconds=PROMPT)


async def test_poll_finds_a_job_whose_wakeup_token_is_lost(pool: WorkerPool) -> None:
    worker = pool.start_worker("a", succeed, poll_seconds=0.1, concurrency=1)
    finish = asyncio.Event()
    worker.work = wait_for(finish)
    await pool.enqueue("first")
    await until_true(lambda: bool(worker.started))
    await pool.enqueue("job")
    await pool.redis.execute_command("DEL", keys.wakeup(keys.QUEUE))

    finish.set()

    await until_true(lambda: worker.started == ["first", "job"])


async def test_150_running_jobs_do_not_delay_a_new_one(pool: WorkerPool) -> None:
    busy = pool.start_worker("busy", run_forever, concurrency=150)
    names = [f"job-{number}" for number in range(150)]
    await pool.enqueue(*names)
    await until_true(lambda: len(busy.started) == 150)
    free = pool.start_worker("free", succeed)
    await pool.wait_for_idle(1)

    await pool.enqueue("new")

    await until_true(lambda: free.started == ["new"], seconds=PROMPT)
    assert sorted(busy.started) == sorted(names)


async def test_lagging_worker_claims_only_its_first_jobs(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught_up = asyncio.Event()
    monkeypatch.setattr(lease_worker, "wait_for_low_lag", caught_up.wait)
    await pool.enqueue(*(f"job-{number}" for number in range(20)))

    worker = pool.start_worker("a", run_forever)

    await until_true(lambda: len(worker.started) == 8)
    assert await pool.redis.execute_command("ZCOUNT", keys.QUEUE, "-inf", time.time() * 1000) == 12
    caught_up.set()
    await until_true(lambda: len(worker.started) == 20)


async def test_worker_that_drains_while_it_lags_claims_nothing(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, caught_up = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        waits.set()
        await caught_up.wait()

    monkeypatch.setattr(lease_worker, "wait_for_low_lag", wait)
    await pool.enqueue(*(f"job-{number}" for number in range(20)))
    worker = pool.start_worker("a", run_forever)
    await waits.wait()
    await until_true(lambda: len(worker.started) == 8)

    worker.stop.set()
    await until_true(lambda: not worker.lease_worker.allow_pick_jobs)
    caught_up.set()
    await worker.shut_down()

    assert len(worker.started) == 8


async def test_burst_is_spread_over_all_workers(pool: WorkerPool) -> None:
    workers = [pool.start_worker(name, run_forever, concurrency=8) for name in "abcd"]
    await pool.wait_for_idle(4)

    await pool.enqueue(*(f"job-{number}" for number in range(32)))

    await until_true(lambda: [len(worker.started) for worker in workers] == [8] * 4)


async def test_400_jobs_run_once_each(pool: WorkerPool) -> None:
    workers = [pool.start_worker(name, succeed, concurrency=10) for name in "abcd"]
    names = [f"job-{number}" for number in range(400)]

    await pool.enqueue(*names)

    await until(pool.is_empty)
    assert sorted(name for worker in workers for name in worker.started) == sorted(names)


async def test_worker_runs_at_most_its_concurrency(pool: WorkerPool) -> None:
    running, most = 0, 0

    async def counted(_: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        await pool.redis.execute_command("PING")
        running -= 1

    worker = pool.start_worker("a", counted, concurrency=3)
    await pool.enqueue(*(f"job-{number}" for number in range(50)))

    await until(pool.is_empty)
    assert most == 3
    assert len(worker.started) == 50


async def test_lease_is_renewed_while_the_job_runs(pool: WorkerPool) -> None:
    finish = asyncio.Event()
    worker = pool.start_worker("a", wait_for(finish))
    other = pool.start_worker("b", succeed, poll_seconds=0.05)
    await pool.enqueue("job")
    await until_true(lambda: len(worker.started + other.started) == 1)
    if other.started:  # the worker whose jobs end at once has taken it
        await until(pool.is_empty)
        await pool.redis.execute_command("FLUSHALL")
        await other.shut_down()
        await pool.enqueue("job")
        await until_true(lambda: bool(worker.started))
    deadline = time.monotonic() + 3 * LEASE

    await until_true(lambda: time.monotonic() > deadline)

    assert await pool.leased_by("job") == "a"
    assert worker.started == ["job"]
    finish.set()
    await until(pool.is_empty)


async def test_job_of_a_crashed_worker_runs_after_its_lease(pool: WorkerPool) -> None:
    crashed = pool.start_worker("crashed", run_forever)
    await pool.enqueue("job")
    await until_true(lambda: crashed.started == ["job"])
    successor = pool.start_worker("successor", succeed, poll_seconds=0.05)

    await crashed.crash()

    await until_true(lambda: successor.started == ["job"])
    await until(pool.is_empty)


async def reassign_lease(pool: WorkerPool, name: str, worker_id: str) -> None:
    """Give the lease to another worker, as a claim does after it has expired."""
    await pool.redis.execute_command("SET", keys.lease(name), worker_id, "PX", 60_000)


async def test_lost_lease_is_reported_and_the_job_is_not_released(pool: WorkerPool) -> None:
    worker = pool.start_worker("a", run_forever)
    await pool.enqueue("job")
    await until_true(lambda: worker.started == ["job"])

    await reassign_lease(pool, "job", "b")

    await until_true(lambda: worker.lost == ["job"] and not worker.lease_worker.job_counter)
    assert await pool.leased_by("job") == "b"
    assert await pool.redis.execute_command("ZSCORE", keys.QUEUE, "job") is not None
    assert await pool.redis.execute_command("EXISTS", keys.job("job")) == 1


async def test_job_that_ends_after_a_lost_lease_stays_queued(pool: WorkerPool) -> None:
    finish = asyncio.Event()
    worker = pool.start_worker("a", wait_for(finish), lease_seconds=30)
    await pool.enqueue("job")
    await until_true(lambda: worker.started == ["job"])
    await reassign_lease(pool, "job", "b")

    finish.set()

    await until_true(lambda: not worker.lease_worker.job_counter)
    assert await pool.leased_by("job") == "b"
    assert await pool.redis.execute_command("ZSCORE", keys.QUEUE, "job") is not None


async def test_job_removed_from_the_queue_is_reported_as_lost(pool: WorkerPool) -> None:
    worker = pool.start_worker("a", run_forever)
    await pool.enqueue("job")
    await until_true(lambda: worker.started == ["job"])

    await JobQueue(pool.redis).remove("job")

    await until_true(lambda: worker.lost == ["job"])
    await until(pool.is_empty)


async def test_suspended_worker_does_not_run_its_job_twice(pool: WorkerPool) -> None:
    finish = asyncio.Event()
    worker = pool.start_worker("a", wait_for(finish), poll_seconds=0.05)
    await pool.enqueue("job")
    await until_true(lambda: worker.started == ["job"])

    time.sleep(2 * LEASE)  # noqa: ASYNC251  (blocks the event loop, as a suspended process does)
    deadline = time.monotonic() + 2 * LEASE
    await until_true(lambda: time.monotonic() > deadline)

    assert worker.started == ["job"]
    assert not worker.lost
    finish.set()
    await until(pool.is_empty)


async def test_retried_job_runs_again_at_once(pool: WorkerPool) -> None:
    async def retry_twice(_: str) -> None:
        if len(worker.started) < 3:
            raise RetryJob

    worker = pool.start_worker("a", retry_twice)
    await pool.enqueue("job")

    await until_true(lambda: worker.started == ["job"] * 3, seconds=PROMPT)
    await until(pool.is_empty)


async def test_job_that_is_handed_back_frees_its_slot(pool: WorkerPool) -> None:
    async def hand_back_first(_: str) -> None:
        if worker.started == ["first"]:
            raise Retry(defer=1)

    worker = pool.start_worker("a", hand_back_first, concurrency=1, poll_seconds=0.1)
    await pool.enqueue("first", "second")

    await until(pool.is_empty)
    assert worker.started == ["first", "second", "first"]


async def test_failing_job_does_not_stop_its_worker(pool: WorkerPool) -> None:
    async def fail_broken(name: str) -> None:
        if name == "broken":
            raise ValueError("no")

    worker = pool.start_worker("a", fail_broken)
    await pool.enqueue("broken", "intact")

    await until_true(lambda: sorted(worker.started) == ["broken", "intact"])
    await until(pool.is_empty)


async def test_job_runs_again_if_its_release_fails(pool: WorkerPool) -> None:
    worker = pool.start_worker("a", succeed, poll_seconds=0.05)
    failures = [ConnectionError("unavailable")]

    async def fail_once() -> None:
        if failures:
            raise failures.pop()

    worker.lease_worker.before_release = fail_once
    await pool.enqueue("job")

    await until_true(lambda: worker.started == ["job", "job"])
    await until(pool.is_empty)


async def test_job_is_removed_together_with_the_record_of_its_end(pool: WorkerPool) -> None:
    ended_runs = EndedRuns(pool.redis, retention=60)
    worker = pool.start_worker("a", succeed)
    worker.ended = ended_runs.parameters("job", failed=True)

    await pool.enqueue("job")

    await until(pool.is_empty)
    assert await ended_runs.newest_failed(10) == ["job"]
    assert await ended_runs.page(0, 10) == ["job"]


async def test_payload_too_large_for_a_claim_is_read_separately(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_scripts, "_MAX_PAYLOADS", 10)
    worker = pool.start_worker("a", succeed)

    await pool.enqueue("job")

    await until(pool.is_empty)
    assert worker.started == ["job"]


async def test_expired_job_is_dropped(pool: WorkerPool) -> None:
    await pool.enqueue("job")
    await pool.redis.execute_command("DEL", keys.job("job"))
    worker = pool.start_worker("a", succeed)

    await until_true(lambda: worker.dropped == ["job"])
    await until(pool.is_empty)
    assert not worker.started


@pytest.mark.parametrize("payload", [b"\x80\x04N.", b"{", b"[]", b'{"f":"unknown"}'])
async def test_unreadable_job_is_dropped(pool: WorkerPool, payload: bytes) -> None:
    await pool.enqueue("job")
    await pool.redis.execute_command("SET", keys.job("job"), payload, "PX", 60_000)
    worker = pool.start_worker("a", succeed)

    await until_true(lambda: worker.dropped == ["job"])
    await until(pool.is_empty)


async def test_jobs_enqueued_by_arq_run(pool: WorkerPool) -> None:
    producer = pool.connect("producer")
    worker = pool.start_worker("a", succeed, poll_seconds=0.05)

    await producer.enqueue_job(RUN_CHAT, {"run_id": "job"}, _job_id="job")
    await producer.enqueue_job(RUN_CHAT, {"run_id": "later"}, _job_id="later", _defer_by=0.3)

    await until_true(lambda: worker.started == ["job", "later"])
    await until(pool.is_empty)


async def test_every_key_of_a_running_job_has_a_ttl(pool: WorkerPool) -> None:
    worker = pool.start_worker("a", run_forever)
    await pool.enqueue("job", "other")
    await until_true(lambda: len(worker.started) == 2)

    names: list[bytes] = await pool.redis.execute_command("KEYS", "*")
    ttls = {name: await pool.redis.execute_command("PTTL", name) for name in names}
    assert len(ttls) >= 7
    assert all(ttl > 0 for ttl in ttls.values()), ttls


BOTH_QUEUES = [keys.MAIN_QUEUE, "slow"]


async def test_worker_serves_only_its_queues(pool: WorkerPool) -> None:
    main = pool.start_worker("main", succeed)
    slow = pool.start_worker("slow", succeed, queues=lambda: ["slow"])
    await pool.wait_for_idle(2)

    async with asyncio.timeout(PROMPT):
        await pool.enqueue("one", queue="slow")
        await pool.enqueue("two")
        await until_true(lambda: slow.started == ["one"] and main.started == ["two"])


async def test_long_queue_does_not_delay_a_short_one(pool: WorkerPool) -> None:
    await pool.enqueue(*(f"main-{number}" for number in range(20)))
    await pool.enqueue("slow-1", "slow-2", queue="slow")
    finish = asyncio.Event()

    worker = pool.start_worker(
        "worker", wait_for(finish), queues=lambda: BOTH_QUEUES, concurrency=4
    )
    await until_true(lambda: len(worker.started) == 4)
    assert {"slow-1", "slow-2"} <= set(worker.started)

    finish.set()
    await until(pool.is_empty)
    assert len(worker.started) == len(set(worker.started)) == 22


async def test_single_slot_alternates_between_queues(pool: WorkerPool) -> None:
    await pool.enqueue(*(f"main-{number}" for number in range(6)))
    await pool.enqueue("slow-1", "slow-2", queue="slow")

    worker = pool.start_worker("worker", succeed, queues=lambda: BOTH_QUEUES, concurrency=1)
    await until(pool.is_empty)

    assert {"slow-1", "slow-2"} <= set(worker.started[:5])


async def test_leases_of_all_queues_are_renewed(pool: WorkerPool) -> None:
    worker = pool.start_worker("worker", run_forever, queues=lambda: BOTH_QUEUES)
    other = pool.start_worker("other", run_forever, queues=lambda: BOTH_QUEUES, poll_seconds=0.05)
    await pool.enqueue("one")
    await pool.enqueue("two", queue="slow")
    await until_true(lambda: len(worker.started + other.started) == 2)

    deadline = time.monotonic() + 2 * LEASE
    await until_true(lambda: time.monotonic() > deadline)

    assert sorted(worker.started + other.started) == ["one", "two"]
    assert not worker.lost + other.lost


async def test_released_job_stays_in_its_queue(pool: WorkerPool) -> None:
    first = pool.start_worker("first", run_forever, queues=lambda: BOTH_QUEUES)
    await pool.enqueue("job", queue="slow")
    await until_true(lambda: first.started == ["job"])

    second = pool.start_worker("second", succeed, queues=lambda: ["slow"])
    await first.shut_down()

    await until_true(lambda: second.started == ["job"])
    await until(pool.is_empty)
    assert not await pool.redis.execute_command("ZCARD", keys.queue("slow"))


async def test_job_with_an_undecodable_id_is_removed(pool: WorkerPool) -> None:
    await pool.redis.execute_command("ZADD", keys.QUEUE, 1, b"\xff\xfe")
    await pool.redis.execute_command("PEXPIRE", keys.QUEUE, 60_000)
    worker = pool.start_worker("a", succeed, poll_seconds=0.1)

    await until(pool.is_empty)
    await pool.enqueue("job")

    await until(pool.is_empty)
    assert worker.started == ["job"]


async def test_late_release_keeps_the_delay_of_a_hand_back(pool: WorkerPool) -> None:
    await pool.enqueue("job")

    async def release(worker_id: str, outcome: Literal["due", "handed_back"]) -> float:
        await lease_scripts.release(
            pool.redis,
            queue=keys.QUEUE,
            job_id="job",
            worker_id=worker_id,
            outcome=outcome,
            delay_ms=60_000,
        )
        return float(await pool.redis.execute_command("ZSCORE", keys.QUEUE, "job"))

    due = await release("other", "handed_back")

    assert await release("late", "due") == due
