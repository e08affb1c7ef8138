"""Snapshots of the deployment: queues, workers, API processes, Redis, runs and metrics history.

Snapshots read only Redis, so all processes report the same state. Concurrent readers share one
snapshot per second, which costs Redis a few commands in O(log n).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from shared.monitoring.metrics_history import SAMPLES_KEPT, MetricsHistory, Sample
from shared.processes.api_processes import ApiRecord, ApiRegistry
from shared.processes.vanished import VanishedWorker, VanishedWorkers
from shared.processes.workers import WorkerRecord, WorkerRegistry
from shared.queue.pauses import Pauses, QueuePause
from shared.queue.queue_depth import QueueDepth, queues_with_jobs, read_depths
from shared.queue.wait_forecast import forecast
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, RedisError, redis_time_ms
from shared.redis.memory import read_memory
from shared.runs.live_runs import LiveRun
from shared.runs.run import Run
from shared.runs.stores import Stores
from shared.settings import Priority
from shared.single_flight import SingleFlightCache
from shared.webhooks.deliveries import WebhookDeliveries

#: Maximum number of live runs, and of failed runs, in an overview.
MAX_RUNS = 50
#: Maximum number of vanished workers in a snapshot.
_MAX_VANISHED = 20
#: A wait that users notice, and one that is too long, of the oldest run in a queue. The console's
#: page repeats them.
NOTICEABLE_WAIT_MS = 2_000
LONG_WAIT_MS = 10_000
_HOUR_MS = 3_600_000
_MAX_AGE_SECONDS = 1.0
_TIMEOUT_SECONDS = 2.0

RunSnapshotState = Literal["waiting", "running", "deferred", "succeeded", "failed", "cancelled"]


class _SnapshotModel(BaseModel):
    model_config = ConfigDict(frozen=True)


class QueueSnapshot(_SnapshotModel):
    """A queue, with its number of runs by state."""

    name: str
    waiting: int
    running: int
    deferred: int
    #: How many of the waiting runs are background runs.
    background: int = 0
    #: How many of the waiting runs do not start because an operator has paused the processing.
    held: int = 0
    #: Wait of the oldest waiting interactive run in milliseconds.
    oldest_wait_ms: int
    #: Expected wait of an interactive run that would be admitted now; None if it cannot be
    #: estimated.
    expected_wait_ms: int | None = None
    #: The workers that serve the queue and are not draining, their slots, and those in use. A
    #: worker that serves several queues counts for each of them.
    workers: int = 0
    slots: int = 0
    slots_used: int = 0
    #: Whether a pause of this queue or of all queues applies.
    intake_paused: bool = False
    processing_paused: bool = False

    @property
    def full(self) -> bool:
        """Whether all slots of the workers that serve the queue are in use."""
        return 0 < self.slots <= self.slots_used


class WebhookSnapshot(_SnapshotModel):
    """How many webhooks a destination has not received, as in `WebhookCounts`."""

    destination: str
    pending: int
    retrying: int
    failed: int


class RedisSnapshot(_SnapshotModel):
    up: bool
    #: Round trip in milliseconds.
    latency_ms: float | None = None
    #: None if the server does not report it; a limit of 0 means no limit.
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None


class RunSnapshot(_SnapshotModel):
    """A run, without its owner and content. Times are Unix milliseconds."""

    id: str
    state: RunSnapshotState
    agent: str
    model: str
    queue: str
    priority: Priority = "interactive"
    attempts: int
    #: Time since its admission in milliseconds.
    age_ms: int
    #: Id of the worker that executes the run.
    worker: str | None = None
    #: Error code of a failed run.
    error: str | None = None
    ended_at: int | None = None


class SystemSnapshot(_SnapshotModel):
    """The deployment at time `at` (Unix milliseconds by Redis's clock; 0 before the first read)."""

    at: int = 0
    queues: tuple[QueueSnapshot, ...] = ()
    #: What operators have paused, oldest first.
    pauses: tuple[QueuePause, ...] = ()
    #: Oldest process first.
    workers: tuple[WorkerRecord, ...] = ()
    apis: tuple[ApiRecord, ...] = ()
    #: Workers that stopped without shutting down within the last hour, newest first.
    vanished: tuple[VanishedWorker, ...] = ()
    #: How many workers have vanished since the deployment started.
    vanished_total: int = 0
    #: The configured destinations of webhooks.
    webhooks: tuple[WebhookSnapshot, ...] = ()
    #: If `up` is false, all other fields are from the last successful read.
    redis: RedisSnapshot = RedisSnapshot(up=False)

    @property
    def serving(self) -> list[WorkerRecord]:
        """The workers that are not draining."""
        return [worker for worker in self.workers if not worker.draining]

    @property
    def slots(self) -> int:
        """The slots of all serving workers."""
        return sum(worker.concurrency for worker in self.serving)

    @property
    def running(self) -> int:
        """The active runs of all workers."""
        return sum(worker.running for worker in self.workers)

    @property
    def clients(self) -> int:
        """The clients that currently follow a run."""
        return sum(api.clients for api in self.apis)


class SystemOverview(SystemSnapshot):
    """A snapshot with runs and the metrics history."""

    #: Waiting runs, then running runs, then deferred runs.
    live: tuple[RunSnapshot, ...] = ()
    #: Newest first.
    failed: tuple[RunSnapshot, ...] = ()
    #: Oldest first, one every 5 seconds.
    samples: tuple[Sample, ...] = ()


_SnapshotT = TypeVar("_SnapshotT", bound=SystemSnapshot)


class SystemMonitor:
    """Reads and caches snapshots.

    `queues` returns the configured queues. The main queue, those that workers serve and those that
    have jobs are added. `destinations` returns those of webhooks.
    """

    def __init__(
        self,
        stores: Stores,
        queues: Callable[[], Awaitable[Iterable[str]]],
        destinations: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        redis = self._redis = stores.queue_redis
        self._named = queues
        self._destinations = destinations
        self._webhooks = WebhookDeliveries(redis)
        self._workers, self._apis = WorkerRegistry(redis), ApiRegistry(redis)
        self._pauses = Pauses(redis)
        self._vanished = VanishedWorkers(redis)
        self._runs, self._live = stores.runs, stores.live_runs
        self._ended = stores.ended_runs
        self._samples = MetricsHistory(redis)
        self._snapshots = SingleFlightCache(self._load_snapshot)
        self._overviews = SingleFlightCache(self._load_overview)

    async def snapshot(self) -> SystemSnapshot:
        """Return a snapshot at most one second old. Never raises: check `redis.up`."""
        return await self._snapshots.get(max_age_seconds=_MAX_AGE_SECONDS)

    async def overview(self, *, samples: int = SAMPLES_KEPT) -> SystemOverview:
        """Return an overview with the newest samples."""
        overview = await self._overviews.get(max_age_seconds=_MAX_AGE_SECONDS)
        newest = overview.samples[max(0, len(overview.samples) - samples) :]
        return overview.model_copy(update={"samples": newest})

    async def samples(self, since: int) -> tuple[Sample, ...]:
        """Return the samples after a time (Unix milliseconds by Redis's clock), oldest first."""
        overview = await self._overviews.get(max_age_seconds=_MAX_AGE_SECONDS)
        return tuple(sample for sample in overview.samples if sample.at > since)

    async def _load_snapshot(self) -> SystemSnapshot:
        return await _load_or_keep(self.read_snapshot, self._snapshots.latest or SystemSnapshot())

    async def _load_overview(self) -> SystemOverview:
        return await _load_or_keep(self._read_overview, self._overviews.latest or SystemOverview())

    async def read_snapshot(self) -> SystemSnapshot:
        """Return a new snapshot.

        Raises:
            REDIS_UNAVAILABLE, RedisError: if Redis does not respond.
        """
        redis, at = await self._read_redis()
        workers, apis, total, pauses = await asyncio.gather(
            self._workers.alive(),
            self._apis.alive(),
            self._vanished.total(),
            self._pauses.read(),
        )
        alive = [worker.id for worker in workers]
        vanished = await self._vanished.newest(_MAX_VANISHED, since=at - _HOUR_MS, alive=alive)
        return SystemSnapshot(
            at=at,
            queues=await self._read_queues(workers, pauses),
            pauses=pauses,
            workers=tuple(workers),
            apis=tuple(apis),
            vanished=tuple(vanished),
            vanished_total=total,
            webhooks=await self._read_webhooks(),
            redis=redis,
        )

    async def queue_names(self) -> list[str]:
        """Return the main queue first, then all others by name.

        Raises:
            REDIS_UNAVAILABLE, RedisError: if Redis does not respond.
        """
        workers, pauses = await asyncio.gather(self._workers.alive(), self._pauses.read())
        return await self._queue_names(workers, pauses)

    async def _queue_names(
        self, workers: Sequence[WorkerRecord], pauses: Sequence[QueuePause]
    ) -> list[str]:
        named, used = await asyncio.gather(self._named(), queues_with_jobs(self._redis))
        served = {name for worker in workers for name in worker.queues}
        paused = {pause.queue for pause in pauses if pause.queue is not None}
        others = sorted({*named, *used, *served, *paused} - {keys.MAIN_QUEUE})
        return [keys.MAIN_QUEUE, *others]

    async def _read_queues(
        self, workers: Sequence[WorkerRecord], pauses: Sequence[QueuePause]
    ) -> tuple[QueueSnapshot, ...]:
        depths = await read_depths(self._redis, await self._queue_names(workers, pauses))
        return tuple(_queue(name, depth, workers, pauses) for name, depth in depths.items())

    async def _read_webhooks(self) -> tuple[WebhookSnapshot, ...]:
        counts = await self._webhooks.counts([*self._destinations()])
        return tuple(WebhookSnapshot(destination=n, **asdict(c)) for n, c in counts.items())

    async def _read_overview(self) -> SystemOverview:
        snapshot = await self.snapshot()
        if not snapshot.redis.up:
            raise ConnectionError
        names = [queue.name for queue in snapshot.queues]
        live, failed, samples = await asyncio.gather(
            self._live.read(names, MAX_RUNS),
            self._failed_runs(),
            self._samples.last_hour(snapshot.at),
        )
        return SystemOverview(
            **dict(snapshot),
            live=tuple(_live(run, snapshot.at) for run in live),
            failed=tuple(_ended(run, snapshot.at) for run in failed),
            samples=samples,
        )

    async def _read_redis(self) -> tuple[RedisSnapshot, int]:
        began = time.perf_counter()
        at = await redis_time_ms(self._redis)
        latency_ms = round((time.perf_counter() - began) * 1000, 3)
        memory = await read_memory(self._redis)
        redis = RedisSnapshot(
            up=True,
            latency_ms=latency_ms,
            memory_bytes=memory.used_bytes if memory else None,
            memory_limit_bytes=memory.limit_bytes if memory else None,
        )
        return redis, at

    async def _failed_runs(self) -> list[Run]:
        """Return the failed runs that are still retained."""
        ids = await self._ended.newest_failed(MAX_RUNS)
        known = await self._runs.get_many(ids)
        return [known[run_id] for run_id in dict.fromkeys(ids) if run_id in known]


async def _load_or_keep(
    load: Callable[[], Awaitable[_SnapshotT]], latest: _SnapshotT
) -> _SnapshotT:
    """Return the loaded value, or `latest` marked as outdated if Redis does not respond in time."""
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            return await load()
    except (*REDIS_UNAVAILABLE, RedisError, TimeoutError):
        return latest.model_copy(update={"redis": RedisSnapshot(up=False)})


def _queue(
    name: str, depth: QueueDepth, workers: Iterable[WorkerRecord], pauses: Sequence[QueuePause]
) -> QueueSnapshot:
    processing_paused = any(pause.applies_to("processing", name) for pause in pauses)
    serving = [worker for worker in workers if not worker.draining and worker.serves(name)]
    slots = sum(worker.concurrency for worker in serving)
    slots_used = sum(worker.running for worker in serving)
    return QueueSnapshot(
        name=name,
        waiting=depth.waiting,
        running=depth.running,
        deferred=depth.deferred,
        background=depth.background,
        held=depth.unstarted if processing_paused else 0,
        oldest_wait_ms=depth.oldest_wait_ms,
        expected_wait_ms=(
            None if processing_paused else _expected_wait(depth, free_slots=slots - slots_used)
        ),
        workers=len(serving),
        slots=slots,
        slots_used=slots_used,
        intake_paused=any(pause.applies_to("intake", name) for pause in pauses),
        processing_paused=processing_paused,
    )


def _expected_wait(depth: QueueDepth, *, free_slots: int) -> int | None:
    if depth.waiting < free_slots:
        return 0
    found = forecast(depth)
    position = depth.waiting - depth.background + 1
    return None if found is None else round(position * found.interval * 1000)


def _live(live: LiveRun, now: int) -> RunSnapshot:
    return _run(live.run, now, live.state, live.worker)


def _ended(run: Run, now: int) -> RunSnapshot:
    return _run(run, now, "failed")


def _run(run: Run, now: int, state: RunSnapshotState, worker: str | None = None) -> RunSnapshot:
    return RunSnapshot(
        id=run.id,
        state=state,
        agent=run.agent,
        model=run.model,
        queue=run.queue,
        priority=run.priority,
        attempts=run.attempts,
        age_ms=max(0, now - run.admitted_at),
        worker=worker,
        error=run.error,
        ended_at=run.ended_at,
    )
