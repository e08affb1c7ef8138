"""Commands to a running deployment: stop, requeue or move a run, drain a worker.

Used by the API, for the owner of a chat and for the console, and by the `mamba` CLI.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog

from shared.errors import (
    JobMissing,
    NotFound,
    RunDeferred,
    RunEnded,
    RunLeased,
    WorkerNotResponding,
)
from shared.processes.registry import ALIVE_SECONDS
from shared.processes.workers import WorkerRegistry
from shared.queue.commands import DrainWorker, StopJob
from shared.queue.job_queue import JobQueue
from shared.runs.finalize import RunEnding, RunFinalizer
from shared.runs.run import Run
from shared.runs.run_details import attempts_of, usage_of
from shared.runs.store import RunStore
from shared.streams.event_stream import EventStream
from shared.streams.follow import FollowerFactory

log = structlog.stdlib.get_logger()

#: How long a worker may take to end a run after a stop request.
_STOP_SECONDS = 5.0
#: A worker can take over a run while it is being ended here. The worker then ends the run, and the
#: next try waits for it.
_STOP_TRIES = 3


class RunControl:
    """Sends commands, and waits for their effect. Ends a run if its worker does not respond."""

    def __init__(
        self,
        *,
        runs: RunStore,
        queue: JobQueue,
        stream: EventStream,
        followers: FollowerFactory,
        workers: WorkerRegistry,
        finalizer: RunFinalizer,
    ) -> None:
        self._runs = runs
        self._queue = queue
        self._stream = stream
        self._followers = followers
        self._workers = workers
        self._finalizer = finalizer

    async def find(self, run_id: str) -> Run:
        """Return a run.

        Raises:
            NotFound: if there is no such run.
        """
        run = await self._runs.get(run_id)
        if run is None:
            raise _not_found(run_id)
        return run

    async def describe(self, run_id: str) -> dict[str, Any]:
        """Return the fields of a run, its attempts, its tokens and the length of its stream.

        `worker` has the run now; `last_worker` made the last attempt. `moved_by` is the operator
        who moved it to the front of its queue.

        Raises:
            NotFound: if there is no such run.
        """
        found = await self._runs.get_with_fields(run_id)
        if found is None:
            raise _not_found(run_id)
        run, stored = found
        attempts, usage = attempts_of(run, stored), usage_of(stored)
        fields = {**run.model_dump(mode="json"), "continues": " ".join(run.continues)}
        return {
            **fields,
            "worker": await self._queue.leased_by(run_id),
            "last_worker": attempts[-1].worker if attempts else None,
            "moved_by": stored.get("moved_by"),
            "attempt_log": [attempt.model_dump() for attempt in attempts],
            "tokens": usage.model_dump() if usage else None,
            "events": (await self._stream.tail(run_id)).offset,
        }

    async def stop_live(self, run_id: str) -> Run:
        """Stop a run as its user would.

        Raises:
            NotFound, RunEnded: if there is no such live run.
        """
        return await self.stop(await self._live(run_id))

    async def stop(self, run: Run) -> Run:
        """End a run and return once it has ended.

        The partial answer is kept. A run that has ended stays unchanged.
        """
        if run.state.ended:
            return run
        await self._runs.request_stop(run.id)
        for _ in range(_STOP_TRIES):
            if worker_id := await self._queue.leased_by(run.id):
                await self._queue.send_command(worker_id, StopJob(run.id))
                await self._wait_for_end(run)
            await self._finalizer.end(run, RunEnding.cancelled())
            run = await self._runs.get(run.id) or run
            if run.state.ended:
                break
        return run

    async def requeue(self, run_id: str) -> Run:
        """Make a run due now, also if its job has left its queue.

        Raises:
            NotFound, RunEnded: if there is no such live run.
            RunLeased: if a worker is running it.
            RunDeferred: if it waits for an earlier run of its chat.
            JobMissing: if its job no longer exists.
        """
        run = await self._live(run_id)
        match await self._queue.requeue(run_id, queue=run.queue):
            case "held":
                raise await self._leased(run_id)
            case "behind":
                raise RunDeferred(
                    "The run waits for an earlier run of its chat."
                    f" To find that run, use `mamba run list --chat {run.chat_id}`."
                )
            case "gone":
                raise JobMissing(f"Its job is gone. To end it, use `mamba run stop {run_id}`.")
            case _:
                return run

    async def move_to_front(self, run_id: str, *, operator: str) -> Run:
        """Move a waiting run before all others of its queue, whatever its owner.

        The run's hash stores the operator. Runs that continue after a crash or a drain stay first.

        Raises:
            NotFound, RunEnded: if there is no such live run.
            RunLeased: if a worker is running it.
            RunDeferred: if it is not due yet.
            JobMissing: if its job is not in its queue.
        """
        run = await self._live(run_id)
        match await self._queue.move_to_front(run_id, queue=run.queue):
            case "held":
                raise await self._leased(run_id)
            case "deferred":
                raise RunDeferred("The run is not due yet, so it has no position in its queue.")
            case "gone":
                raise JobMissing(
                    "Its job is not in its queue. To put it back, use"
                    f" `mamba run requeue {run_id}`."
                )
            case _:
                await self._runs.record_mover(run_id, operator)
                return run

    async def _leased(self, run_id: str) -> RunLeased:
        worker = await self._queue.leased_by(run_id)
        return RunLeased(
            f"Worker {worker} is executing the run."
            f" To move it to another worker, use `mamba worker drain {worker}`."
        )

    async def drain(self, worker_id: str) -> None:
        """Shut a worker down as SIGTERM does: its runs finish or are handed over.

        Raises:
            NotFound: if there is no such worker.
            WorkerNotResponding: if it does not start to drain in time.
        """
        if worker_id not in {worker.id for worker in await self._workers.alive()}:
            raise NotFound(
                f"No worker {worker_id!r} is alive. To list workers, run: mamba worker list"
            )
        await self._queue.send_command(worker_id, DrainWorker())
        if not await _poll_until(partial(self._is_draining, worker_id), seconds=ALIVE_SECONDS):
            raise WorkerNotResponding(f"{worker_id} did not respond. Send SIGTERM to its process.")

    async def _live(self, run_id: str) -> Run:
        run = await self.find(run_id)
        if run.state.ended:
            raise RunEnded(f"The run has already ended ({run.state}).")
        return run

    async def _wait_for_end(self, run: Run) -> None:
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                with self._followers.follow(run.id) as follower:
                    while not any(entry.is_last for entry in await follower.read()):
                        pass
        except TimeoutError:
            log.warning(
                "run.stop_unconfirmed",
                message="The worker did not stop the run in time; its later writes are rejected",
                run_id=run.id,
            )

    async def _is_draining(self, worker_id: str) -> bool:
        alive = {worker.id: worker for worker in await self._workers.alive()}
        return worker_id not in alive or alive[worker_id].draining


def _not_found(run_id: str) -> NotFound:
    return NotFound(f"There is no run {run_id!r}, or it is no longer stored.")


async def _poll_until(holds: Callable[[], Awaitable[bool]], *, seconds: float) -> bool:
    """Poll until a condition holds. Return whether it did in time."""
    try:
        async with asyncio.timeout(seconds):
            while not await holds():  # noqa: ASYNC110  (no event reports it)
                await asyncio.sleep(0.05)
    except TimeoutError:
        return False
    return True
