"""The orphan reaper ends runs that have no job, and leaves live runs unchanged."""

import asyncio
from collections.abc import Sequence

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from api.streaming.orphan_reaper import OrphanReaper
from shared.queue.job_queue import JobQueue
from shared.redis.client import Redis
from shared.runs.ended_runs import EndedRuns
from shared.runs.finalize import RunEnding, RunFinalizer
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.streams.event_stream import START, RedisEventStream
from shared.streams.run_state import RunState
from tests.support.fakes.jobs import lease_job, put_job
from tests.support.fakes.runs import new_run

ORPHANED = (RunState.FAILED, "lost")
WAITING = (RunState.QUEUED, None)


class UnreachableRunStore(RunStore):
    async def get(self, run_id: str) -> Run | None:
        raise RedisConnectionError(run_id)


class RecordingRunStore(RunStore):
    """Records the runs of each call that reads several of them."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis, live_ttl=600)
        self.calls: list[set[str]] = []

    async def fields_of(
        self, run_ids: Sequence[str], names: Sequence[str]
    ) -> dict[str, list[str | None]]:
        self.calls.append(set(run_ids))
        return await super().fields_of(run_ids, names)


class ReaperHarness:
    """A reaper, and the run `run`, which has no job."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.runs = RunStore(redis, live_ttl=600)
        self.stream = RedisEventStream(redis, live_ttl=600, retention=60)
        self.queue = JobQueue(redis)
        self.finalizer = RunFinalizer(self.stream, EndedRuns(redis, retention=60), self.queue)
        self.reaper = OrphanReaper(self.runs, self.queue, self.stream, self.finalizer)

    async def run(self) -> Run:
        run = await self.runs.get("run")
        assert run is not None
        return run

    async def reap(self) -> bool:
        return await self.reaper.reap_orphan(await self.run())

    async def outcome(self) -> tuple[RunState, str | None]:
        run = await self.run()
        return run.state, run.error


@pytest.fixture
async def harness(redis: Redis) -> ReaperHarness:
    harness = ReaperHarness(redis)
    await harness.runs.create(new_run("run"))
    return harness


async def test_run_without_a_job_is_ended(harness: ReaperHarness) -> None:
    assert await harness.reap()
    assert await harness.outcome() == ORPHANED


async def test_run_with_a_queued_job_stays_live(harness: ReaperHarness) -> None:
    await put_job(harness.redis, "run", due=0)

    assert not await harness.reap()
    assert await harness.outcome() == WAITING


async def test_run_that_a_worker_holds_stays_live(harness: ReaperHarness) -> None:
    await harness.runs.request_stop("run")
    await lease_job(harness.redis, "run")

    assert not await harness.reap()
    assert await harness.outcome() == WAITING


async def test_waiting_run_with_a_stop_request_is_cancelled(harness: ReaperHarness) -> None:
    await put_job(harness.redis, "run", due=0)
    await harness.runs.request_stop("run")

    assert await harness.reap()
    assert await harness.outcome() == (RunState.CANCELLED, None)
    assert not await harness.queue.queued("run")


async def test_client_of_an_orphaned_run_receives_its_end(harness: ReaperHarness) -> None:
    assert await harness.reaper.reap_or_wait("run", START)
    assert await harness.outcome() == ORPHANED


async def test_client_of_an_unknown_run_cannot_continue(harness: ReaperHarness) -> None:
    assert not await harness.reaper.reap_or_wait("unknown", START)


async def test_client_at_the_end_cannot_continue(harness: ReaperHarness) -> None:
    await harness.finalizer.end(await harness.run(), RunEnding.cancelled())

    assert await harness.reaper.reap_or_wait("run", START)
    assert not await harness.reaper.reap_or_wait("run", await harness.stream.tail("run"))


async def test_client_waits_while_redis_is_unreachable(harness: ReaperHarness) -> None:
    runs = UnreachableRunStore(harness.redis, live_ttl=600)
    reaper = OrphanReaper(runs, harness.queue, harness.stream, harness.finalizer)

    assert await reaper.reap_or_wait("run", START)


async def test_checks_of_many_clients_are_combined(harness: ReaperHarness) -> None:
    runs = RecordingRunStore(harness.redis)
    reaper = OrphanReaper(runs, harness.queue, harness.stream, harness.finalizer)
    for name in ("waiting", "held"):
        await runs.create(new_run(name))
    await put_job(harness.redis, "waiting", due=0)
    await lease_job(harness.redis, "held")

    names = ("waiting", "held", "run", "unknown")
    results = await asyncio.gather(*(reaper.reap_or_wait(name, START) for name in names))

    assert results == [True, True, True, False]
    assert runs.calls == [set(names)]
    assert await harness.outcome() == ORPHANED
