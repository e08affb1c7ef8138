"""arq's worker with leases and wakeups.

It adds to arq:

- Claims: one call takes due jobs and moves their score into the future by the lease, so jobs
  in progress are never ahead of waiting ones. Plain arq keeps jobs in progress at the front of the
  queue and reads only its first `max(100, 5 * max_jobs)` jobs, so as many long jobs block all
  others. Bursts spread evenly: a worker that runs its portion of the jobs claims one at a time, and
  none while several start there or its event loop lags.
- Wakeups: a token pushed with each job wakes one idle worker. Polling is the fallback.
- Leases: renewed while a job runs, so the jobs of a dead worker start elsewhere within seconds. If
  a lease expires because the worker cannot renew it, the worker stops the job.
- Reconnects: the worker waits while Redis is unavailable.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import structlog
from arq.connections import ArqRedis
from arq.worker import Worker, func

from shared.backoff import Backoff
from shared.redis import keys
from shared.redis.bounded_client import BoundedClient
from shared.redis.client import REDIS_UNAVAILABLE, SILENCE_SECONDS, Redis, RedisError
from shared.settings import WorkerSettings
from shared.telemetry.logs import raise_location
from shared.waiting import wait_briefly
from worker.queue import lease_scripts
from worker.queue.claimed_job import (
    DONE,
    ClaimedJob,
    JobFunction,
    JobOutcome,
    call_job,
    outcome_of,
)
from worker.queue.job_claims import JobClaims
from worker.queue.lease_deadlines import LeaseDeadlines
from worker.queue.loop_lag import wait_for_low_lag
from worker.telemetry.metrics import LEASES_LOST

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine

log = structlog.stdlib.get_logger()

#: The most jobs of one claim, so that bursts spread over the workers and few runs start at once.
_MAX_CLAIM = 4
#: Time limits of a shutdown: for a claim in progress, for running jobs that are handed over, and
#: for the release of jobs whose tasks were cancelled before they began.
_CLAIM_SECONDS = 2.0
_HANDOVER_SECONDS = 5.0
_RELEASE_SECONDS = 2.0
#: The longest wait for a wakeup token. After SILENCE_SECONDS a connection is considered dead.
_MAX_BLOCK_SECONDS = SILENCE_SECONDS - 1


class LeaseWorker(Worker):
    """Serves any number of queues in rotation.

    `functions` has the function of each kind of job. Calls `on_lease_lost` with a job whose lease
    another worker has or may have taken, and `on_dropped` with a job whose payload is missing or
    invalid. `queues` and `background_share` return the names of the queues and the minimum share of
    background jobs for each claim. `wait_for_starts` waits while several jobs start here.
    """

    def __init__(
        self,
        functions: Mapping[str, JobFunction],
        *,
        worker_id: str,
        redis: ArqRedis,
        settings: WorkerSettings,
        on_lease_lost: Callable[[str], None],
        on_dropped: Callable[[str], Awaitable[None]],
        queues: Callable[[], Sequence[str]],
        background_share: Callable[[], float],
        wait_for_starts: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(
            [func(cast("WorkerCoroutine", call), name=kind) for kind, call in functions.items()],
            queue_name=keys.QUEUE,
            redis_pool=redis,
            max_jobs=settings.concurrency,
            poll_delay=settings.poll_seconds,
            handle_signals=False,
            job_serializer=redis.job_serializer,
            job_deserializer=redis.job_deserializer,
        )
        self._functions = functions
        self._id = worker_id
        #: Has a separate limit, so that renewals do not wait for the calls of the jobs.
        self._redis = BoundedClient(
            cast("Redis", redis), max_calls=redis.connection_pool.max_connections
        )
        self._lease_seconds = settings.lease_seconds
        self._lease_ms = int(settings.lease_seconds * 1000)
        self._claims = JobClaims(
            self._redis,
            cast("Redis", redis),
            worker_id=worker_id,
            lease_ms=self._lease_ms,
            queues=queues,
            background_share=background_share,
        )
        self._deadlines = LeaseDeadlines(settings.lease_seconds)
        self._on_lease_lost = on_lease_lost
        self._on_dropped = on_dropped
        self.queues = queues
        self._wait_for_starts = wait_for_starts
        #: The key of each claimed job's queue.
        self._queue_of: dict[str, str] = {}
        self._changed = asyncio.Event()
        #: Held while the worker waits and claims, until the jobs have started or were released.
        self._claiming = asyncio.Lock()
        #: Jobs whose leases are released, or about to be, while their tasks end.
        self._released: set[str] = set()

    async def run_until(
        self,
        stop: asyncio.Event,
        *,
        drain_seconds: float,
        on_drain: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Serve until `stop` is set, then drain: claim nothing and wait for running jobs.

        Jobs that still run after `drain_seconds` are cancelled and handed over to other workers. If
        serving fails with an unexpected error, leases are no longer renewed, and all jobs are
        handed over before the error is raised. `on_drain` receives the duration of the drain.
        """
        serving = self.loop.create_task(self.main(), name="worker")
        renewing = self.loop.create_task(self._renew_leases(), name="lease-renewal")
        stopping = self.loop.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait([serving, renewing, stopping], return_when=asyncio.FIRST_COMPLETED)
            failed = [task for task in (serving, renewing) if task.done()]
            if failed:
                renewing.cancel()
            seconds = 0 if failed else drain_seconds
            on_drain(seconds)
            await self._drain(seconds)
            for task in failed:
                await task
        finally:
            for task in (serving, renewing, stopping):
                task.cancel()
            await asyncio.gather(serving, renewing, stopping, return_exceptions=True)

    async def _drain(self, seconds: float) -> None:
        self.allow_pick_jobs = False
        self._changed.set()
        # The jobs of a claim in progress are released, if its reply arrives during the drain.
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLAIM_SECONDS):
                await self._claims.interrupt()
                async with self._claiming:
                    pass
        running = list(self.tasks.values())
        log.info(
            "worker.draining",
            message="Worker claims no new jobs and waits for running ones",
            running=len(running),
            seconds=seconds,
        )
        if running and seconds:
            await asyncio.wait(running, timeout=seconds)
        remaining = {job_id: task for job_id, task in self.tasks.items() if not task.done()}
        for task in remaining.values():
            task.cancel()
        if remaining:
            await asyncio.wait(remaining.values(), timeout=_HANDOVER_SECONDS)
        with suppress(*REDIS_UNAVAILABLE, TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS):
                for job_id, task in remaining.items():
                    if task.cancelled():  # before it began, so it has not released the job
                        await self._release(job_id, JobOutcome(finish=False))
        self._collect_ended()
        log.info(
            "worker.drained",
            message="Worker has no running jobs left",
            handed_over=len(remaining),
        )

    async def main(self) -> None:
        backoff = Backoff(0.1, 5)
        wait = False
        while self.allow_pick_jobs:
            try:
                wait = await self._claim_and_start(wait=wait)
                if self.allow_pick_jobs and backoff.succeeded():
                    log.info("worker.redis_available", message="Redis is available again")
            except (*REDIS_UNAVAILABLE, RedisError) as error:
                wait = False
                delay = backoff.failed()
                if backoff.should_log():
                    log.warning(
                        "worker.redis_unavailable",
                        message="Redis is unavailable; the worker retries",
                        error=str(error),
                    )
                await asyncio.sleep(delay)

    async def _claim_and_start(self, *, wait: bool) -> bool:
        """Claim jobs and start them. With `wait`, wait for a wakeup token first.

        If all slots are in use, only waits for a free one. Claims nothing if the worker drains.
        Returns whether the next call should wait.
        """
        await self._wait_while_busy()
        self._collect_ended()
        if not self.allow_pick_jobs:
            return False
        if self.job_counter >= self.max_jobs:
            self._changed.clear()
            await wait_briefly(self._changed, self.poll_delay_s)
            return False
        requested = min(self.max_jobs - self.job_counter, _MAX_CLAIM)
        async with self._claiming:
            claimed = await self._claim(requested, wait=wait)
            for job in claimed:
                await self._start_or_release(job)
        return len(claimed) < requested

    def _is_running(self, job_id: str) -> bool:
        """Return whether the job runs here. A job that runs here can be claimed here again."""
        task = self.tasks.get(job_id)
        return task is not None and not task.done() and job_id not in self._released

    async def _claim(self, count: int, *, wait: bool) -> list[ClaimedJob]:
        if wait:
            jobs, began = await self._claims.wait_and_claim(
                count, running=self.job_counter, seconds=min(self.poll_delay_s, _MAX_BLOCK_SECONDS)
            )
        else:
            jobs, began = await self._claims.claim(count, running=self.job_counter)
        self._queue_of |= {job.id: job.queue for job in jobs}
        self._deadlines.start((job.id for job in jobs), began)
        return jobs

    async def _start_or_release(self, job: ClaimedJob) -> None:
        """Start a job that does not run here. Release it if the worker drains or was suspended."""
        if self._is_running(job.id):
            return
        if self.allow_pick_jobs and not self._deadlines.is_over(job.id):
            await self._start(job)
            return
        with suppress(*REDIS_UNAVAILABLE, RedisError):  # the lease expires in any case
            await self._release(job.id, JobOutcome(finish=False))
        if job.id not in self.tasks:
            self._forget(job.id)

    async def _start(self, job: ClaimedJob) -> None:
        await self.sem.acquire()
        self.job_counter += 1
        self._released.discard(job.id)
        task = self.loop.create_task(self._execute(job))
        task.add_done_callback(self._on_ended)
        self.tasks[job.id] = task

    async def _execute(self, job: ClaimedJob) -> None:
        """Call the function of the job's kind. arq's method reads and formats the payload again."""
        payload = job.payload or await self._redis.execute_command("GET", keys.job(job.id))
        work = call_job(self._functions, job.id, payload or b"")
        if work is None:
            log.warning(
                "worker.job_dropped",
                message="Job dropped because its payload has expired or is invalid",
                job_id=job.id,
            )
            await asyncio.shield(self._drop(job.id))
            return
        outcome = DONE
        try:
            outcome = await outcome_of(work)
        finally:
            await asyncio.shield(self._release(job.id, outcome))

    async def _drop(self, job_id: str) -> None:
        await self._on_dropped(job_id)
        await self._release(job_id, DONE)

    def _on_ended(self, _: asyncio.Task[Any]) -> None:
        self._release_sem_dec_counter_on_complete()
        self._changed.set()

    def _collect_ended(self) -> None:
        for job_id, task in list(self.tasks.items()):
            if not task.done():
                continue
            del self.tasks[job_id]
            self._forget(job_id)
            if not task.cancelled() and (error := task.exception()) is not None:
                # If it could not be released, its lease expires, and it starts again.
                log.error(
                    "worker.job_broken",
                    message="Job ended in an unexpected error",
                    run_id=job_id,
                    error=type(error).__name__,
                    where=raise_location(error),
                )

    def _forget(self, job_id: str) -> None:
        self._released.discard(job_id)
        self._queue_of.pop(job_id, None)
        self._deadlines.forget(job_id)

    async def _wait_while_busy(self) -> None:
        """Wait while several jobs start or the event loop lags. Others can claim jobs meanwhile."""
        await self._wait_for_starts()
        if self.job_counter >= 2 * _MAX_CLAIM:  # fewer jobs cause no long lag
            await wait_for_low_lag()

    async def _renew_leases(self) -> None:
        interval = pause = self._lease_seconds / 3
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            is_renewed = await self._renew_held(interval)
            took = time.monotonic() - began
            pause = interval if is_renewed else max(0.0, interval / 2 - took)
            # A process that was paused meanwhile may have missed the reply, so it tries again.
            if not is_renewed and took < 2 * interval:
                self._stop_expired()

    async def _renew_held(self, seconds: float) -> bool:
        """Renew the leases of all jobs that run here. Return False if one was not renewed."""
        are_renewed: list[bool] = []
        try:
            async with asyncio.timeout(seconds):
                for queue, held in self._held():
                    are_renewed.append(await self._renew(queue, held))
        except TimeoutError:
            return False
        return all(are_renewed)

    def _stop_expired(self) -> None:
        """Stop the jobs whose leases could not be renewed: another worker may continue them."""
        for job_id in self._deadlines.take_expired():
            if self._is_running(job_id):
                log.warning(
                    "worker.lease_expired",
                    message="The lease could not be renewed, so the job was stopped here",
                    run_id=job_id,
                )
                self._on_lease_lost(job_id)

    def _held(self) -> Iterator[tuple[str, list[str]]]:
        """Return the jobs that run here, by queue."""
        running = [job_id for job_id in self.tasks if self._is_running(job_id)]
        for queue in {self._queue_of[job_id] for job_id in running}:
            yield queue, [job_id for job_id in running if self._queue_of[job_id] == queue]

    async def _renew(self, queue: str, held: list[str]) -> bool:
        """Renew the leases of one queue. Return False if Redis did not renew them."""
        sent_at = time.monotonic()
        try:
            lost = await lease_scripts.renew(
                self._redis,
                queue=queue,
                lease_ms=self._lease_ms,
                lease_prefix=keys.lease(""),
                worker_id=self._id,
                job_ids=held,
            )
        except (*REDIS_UNAVAILABLE, RedisError):
            return False
        self._deadlines.extend(held, sent_at)
        for job_id in (lost_id.decode() for lost_id in lost):
            if self._is_running(job_id):
                log.warning(
                    "worker.lease_lost",
                    message="Another worker has claimed the job",
                    run_id=job_id,
                )
                LEASES_LOST.inc()
                self._on_lease_lost(job_id)
        return True

    async def _release(self, job_id: str, outcome: JobOutcome) -> None:
        """Remove the job from the queue, make it due again, or hand it back with a delay.

        Does nothing if another worker holds the lease.
        """
        queue = self._queue_of.get(job_id, self.queue_name)
        self._released.add(job_id)
        await lease_scripts.release(
            self._redis,
            queue=queue,
            job_id=job_id,
            worker_id=self._id,
            outcome=outcome.name,
            delay_ms=outcome.delay_ms,
            ended=outcome.ended,
        )
