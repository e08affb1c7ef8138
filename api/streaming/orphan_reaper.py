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

    async def reap_or_wait(self, run_id: str, after: Cursor) -> bool:
        """End the run if it is orphaned; return whether a client at this cursor should wait.

        If the run waits for an orphaned run of its chat, it becomes due.

        Returns False if the run does not exist, or if it has ended and the client's cursor is not
        before its end. In the second case, Redis lost entries that the client had received.
        """
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                run = await self._runs.get(run_id)
                if run is not None and run.state.ended:
                    return (await self._stream.tail(run_id)).offset > after.offset
                if run is not None and run.state is RunState.QUEUED:
                    await self._queue.start_chat(run_id)
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
