"""One look at the whole house: queues, workers, API processes, Redis, runs, and the last hour.

It is made from Redis alone, so that every process sees the same. One look serves all who ask within
a second, and costs Redis a few commands in O(log n), whatever stands there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from shared.processes.api_processes import ApiRecord, ApiRegistry
from shared.processes.metrics_history import SAMPLES_KEPT, MetricsHistory, Sample
from shared.processes.workers import WorkerRecord, WorkerRegistry
from shared.queue.queue_depth import read_depths
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, RedisError
from shared.runs.failed_runs import FailedRuns
from shared.runs.live_runs import LiveRun
from shared.runs.run import Run
from shared.runs.stores import Stores
from shared.single_flight import SingleFlightCache

#: Runs of either kind that a look finds at most.
MOST_RUNS = 50
_MAX_AGE_SECONDS = 1.0
_LOOK_SECONDS = 2.0

RunSnapshotState = Literal["waiting", "running", "deferred", "succeeded", "failed", "cancelled"]


class _SnapshotModel(BaseModel):
    model_config = ConfigDict(frozen=True)


class QueueSnapshot(_SnapshotModel):
    """A queue, with its runs by what they do."""

    name: str
    waiting: int
    running: int
    deferred: int
    #: Since when the oldest waiting run is due, in ms.
    oldest_wait_ms: int


class RedisSnapshot(_SnapshotModel):
    up: bool
    #: How long a round trip took, in ms.
    latency_ms: float | None = None
    #: None where the server does not tell; a limit of 0 is none.
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None


class RunSnapshot(_SnapshotModel):
    """A run, without its owner and without what was said. Times are Unix ms."""

    id: str
    state: RunSnapshotState
    agent: str
    model: str
    queue: str
    attempts: int
    #: Since it was created, in ms.
    age_ms: int
    #: The id of the worker that has it.
    worker: str | None = None
    #: The code of its failure.
    error: str | None = None
    ended_at: int | None = None


class SystemSnapshot(_SnapshotModel):
    """What is there. `at` is Unix ms by Redis' clock; 0: nothing was seen yet."""

    at: int = 0
    queues: tuple[QueueSnapshot, ...] = ()
    #: The longest-serving first.
    workers: tuple[WorkerRecord, ...] = ()
    apis: tuple[ApiRecord, ...] = ()
    #: Where it is not `up` all else is as it was when it last was.
    redis: RedisSnapshot = RedisSnapshot(up=False)

    @property
    def serving(self) -> list[WorkerRecord]:
        """The workers that do not drain."""
        return [worker for worker in self.workers if not worker.draining]

    @property
    def slots(self) -> int:
        """Runs that those take at most."""
        return sum(worker.concurrency for worker in self.serving)

    @property
    def running(self) -> int:
        """Runs that all workers work on."""
        return sum(worker.running for worker in self.workers)

    @property
    def clients(self) -> int:
        """Clients that follow a run now."""
        return sum(api.clients for api in self.apis)


class SystemOverview(SystemSnapshot):
    """All of it, with runs and the last hour."""

    #: Those that wait, then those that workers have, then the deferred.
    live: tuple[RunSnapshot, ...] = ()
    #: The newest first.
    failed: tuple[RunSnapshot, ...] = ()
    #: The oldest first, one each 5 s.
    samples: tuple[Sample, ...] = ()


_SeenT = TypeVar("_SeenT", bound=SystemSnapshot)


class SystemMonitor:
    """One a process. `queues` names those to look at, beside the main one and the workers' own."""

    def __init__(self, stores: Stores, queues: Callable[[], Awaitable[Iterable[str]]]) -> None:
        redis = self._redis = stores.queue
        self._named = queues
        self._workers, self._apis = WorkerRegistry(redis), ApiRegistry(redis)
        self._runs, self._live = stores.runs, stores.live_runs
        self._failed = FailedRuns(redis, retention=stores.retention)
        self._samples = MetricsHistory(redis)
        self._snapshots = SingleFlightCache(self._load_snapshot)
        self._overviews = SingleFlightCache(self._load_overview)

    async def snapshot(self) -> SystemSnapshot:
        """What is there, as it was a second ago at most. It does not fail: see `redis.up`."""
        return await self._snapshots.get(max_age_seconds=_MAX_AGE_SECONDS)

    async def overview(
        self, *, runs: int = MOST_RUNS, samples: int = SAMPLES_KEPT
    ) -> SystemOverview:
        """All of it, with so many runs of either kind and the newest samples, in the same way."""
        seen = await self._overviews.get(max_age_seconds=_MAX_AGE_SECONDS)
        newest = seen.samples[max(0, len(seen.samples) - samples) :]
        cut = {"live": seen.live[:runs], "failed": seen.failed[:runs], "samples": newest}
        return seen.model_copy(update=cut)

    async def samples(self, since: int) -> tuple[Sample, ...]:
        """Those after a time (Unix ms, by Redis' clock), the oldest first."""
        overview = await self._overviews.get(max_age_seconds=_MAX_AGE_SECONDS)
        return tuple(sample for sample in overview.samples if sample.at > since)

    async def _load_snapshot(self) -> SystemSnapshot:
        return await _load_or_keep(self._read_snapshot, self._snapshots.latest or SystemSnapshot())

    async def _load_overview(self) -> SystemOverview:
        return await _load_or_keep(self._read_overview, self._overviews.latest or SystemOverview())

    async def _read_snapshot(self) -> SystemSnapshot:
        redis, at = await self._of_redis()
        named = await self._named()
        workers, apis = await asyncio.gather(self._workers.alive(), self._apis.alive())
        served = {keys.queue_name(key) for worker in workers for key in worker.queues}
        others = sorted({*named, *served} - {keys.MAIN_QUEUE})
        depths = await read_depths(self._redis, [keys.MAIN_QUEUE, *others])
        queues = [QueueSnapshot(name=name, **depth._asdict()) for name, depth in depths.items()]
        return SystemSnapshot(
            at=at, queues=tuple(queues), workers=tuple(workers), apis=tuple(apis), redis=redis
        )

    async def _read_overview(self) -> SystemOverview:
        house = await self.snapshot()
        if not house.redis.up:
            raise ConnectionError
        names = [queue.name for queue in house.queues]
        live, failed, samples = await asyncio.gather(
            self._live.both(names, MOST_RUNS),
            self._failed_runs(),
            self._samples.last_hour(house.at),
        )
        return SystemOverview(
            **dict(house),
            live=tuple(_live(one, house.at) for one in live),
            failed=tuple(_ended(run, house.at) for run in failed),
            samples=samples,
        )

    async def _of_redis(self) -> tuple[RedisSnapshot, int]:
        began = time.perf_counter()
        seconds, micros = await self._redis.execute_command("TIME")
        latency_ms = round((time.perf_counter() - began) * 1000, 3)
        used, limit = await self._memory()
        look = RedisSnapshot(
            up=True, latency_ms=latency_ms, memory_bytes=used, memory_limit_bytes=limit
        )
        return look, int(seconds) * 1000 + int(micros) // 1000

    async def _memory(self) -> tuple[int | None, int | None]:
        """None where the server does not tell, as some that are hosted."""
        try:
            told: dict[str, Any] = await self._redis.execute_command("INFO", "memory")
        except REDIS_UNAVAILABLE:
            raise
        except RedisError:
            return None, None
        return told["used_memory"], told.get("maxmemory", 0)

    async def _failed_runs(self) -> list[Run]:
        """Those that are still kept."""
        ids = await self._failed.newest(MOST_RUNS)
        known = await self._runs.get_many(ids)
        return [known[run_id] for run_id in dict.fromkeys(ids) if run_id in known]


async def _load_or_keep(load: Callable[[], Awaitable[_SeenT]], latest: _SeenT) -> _SeenT:
    """Return the loaded value, or `latest` marked as outdated if Redis does not respond in time."""
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            return await load()
    except (*REDIS_UNAVAILABLE, RedisError, TimeoutError):
        return latest.model_copy(update={"redis": RedisSnapshot(up=False)})


def _live(one: LiveRun, now: int) -> RunSnapshot:
    return _run(one.run, now, one.state, one.worker)


def _ended(run: Run, now: int) -> RunSnapshot:
    return _run(run, now, "failed")


def _run(run: Run, now: int, state: RunSnapshotState, worker: str | None = None) -> RunSnapshot:
    return RunSnapshot(
        id=run.id,
        state=state,
        agent=run.agent,
        model=run.model,
        queue=run.queue,
        attempts=run.attempts,
        age_ms=max(0, now - run.created_at),
        worker=worker,
        error=run.error,
        ended_at=run.ended_at,
    )
