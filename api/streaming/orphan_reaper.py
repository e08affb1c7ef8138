"""Ending runs whose job is gone, when a client follows them or a new request finds them."""

import asyncio

from shared.queue.job_queue import JobQueue
from shared.redis.client import REDIS_UNAVAILABLE
from shared.runs.finalize import RunEnding, RunFinalizer
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.streams.event_stream import Cursor, EventStream
from shared.streams.run_state import RunState

_REDIS_SECONDS = 2.0


class OrphanReaper:
    """Ends orphaned runs: no worker holds them, and no job for them waits in the queue."""

    def __init__(
        self, runs: RunStore, queue: JobQueue, stream: EventStream, finalizer: RunFinalizer
    ) -> None:
        self._runs = runs
        self._queue = queue
        self._stream = stream
        self._finalizer = finalizer
        self._checks = _RunChecks(runs, queue)

    async def reap_or_wait(self, run_id: str, after: Cursor) -> bool:
        """End the run if it is orphaned; return whether a client at this cursor should wait.

        If the run waits for an orphaned run of its chat, it becomes due.

        Returns False if the run does not exist, or if it has ended and the client's cursor is not
        before its end. In the second case, Redis lost entries that the client had received.
        """
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                if await self._checks.is_in_progress(run_id):
                    return True
                run = await self._runs.get(run_id)
                if run is not None and run.state.ended:
                    return (await self._stream.tail(run_id)).offset > after.offset
                if run is not None:
                    await self.reap_orphan(run)
        except (*REDIS_UNAVAILABLE, TimeoutError):
            return True  # unknown: the next heartbeat checks again
        return run is not None

    async def reap_orphan(self, run: Run) -> bool:
        """End the run if it is orphaned or has a stop request.

        Returns False if a worker holds it or its job waits.
        """
        if await self._queue.leased_by(run.id):
            return False
        if run.stop_requests:
            ending = RunEnding.cancelled()
        elif await self._queue.queued(run.id, queue=run.queue):
            return False
        else:
            ending = RunEnding.lost(run.request_id)
        # If this returns False, the run has ended or a worker has taken it over meanwhile. The
        # caller's next check of the run shows which.
        await self._finalizer.end(run, ending)
        return True


class _RunChecks:
    """Checks whether runs are in progress.

    Combines the checks that are requested in one iteration of the event loop: thousands of clients
    may wait.
    """

    def __init__(self, runs: RunStore, queue: JobQueue) -> None:
        self._runs = runs
        self._queue = queue
        self._requested: set[str] = set()
        self._next: asyncio.Task[set[str]] | None = None

    async def is_in_progress(self, run_id: str) -> bool:
        """Return whether a live run has a job and no stop request, or Redis is unavailable.

        If the run waits for its chat, the first job of the chat becomes due unless a worker holds
        it.
        """
        self._requested.add(run_id)
        if self._next is None:
            self._next = asyncio.create_task(self._check(), name="run-checks")
        return run_id in await asyncio.shield(self._next)

    async def _check(self) -> set[str]:
        """Return those of the requested runs that are in progress."""
        await asyncio.sleep(0)  # others may follow in this iteration
        requested, self._requested, self._next = self._requested, set(), None
        try:
            return await self._find_in_progress(list(requested))
        except REDIS_UNAVAILABLE:
            return requested

    async def _find_in_progress(self, run_ids: list[str]) -> set[str]:
        found = await self._runs.fields_of(run_ids, ("state", "queue", "stop_requests"))
        live = [
            (run_id, queue, state == RunState.QUEUED)
            for run_id, (state, queue, stop_requests) in found.items()
            if queue
            and state in (RunState.QUEUED, RunState.RUNNING)
            and stop_requests in (None, "0")
        ]
        return await self._queue.find_jobs(live)
