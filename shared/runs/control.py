"""What can be ordered of a running house: stop or requeue a run, drain a worker.

The API orders for a chat's owner and for the console, the commands for who sits at the terminal.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog

from shared.errors import JobMissing, NotFound, RunEnded, RunLeased, WorkerNotResponding
from shared.processes.registry import ALIVE_SECONDS
from shared.processes.workers import WorkerRegistry
from shared.queue.job_queue import JobQueue
from shared.runs.failed_runs import FailedRuns
from shared.runs.finalize import close_run
from shared.runs.run import Run, RunState
from shared.runs.store import RunStore
from shared.streams.event_stream import Closure, EventStream
from shared.streams.events import Abort, StreamEvent
from shared.streams.follow import Follower
from shared.telemetry.metrics import count_closed

log = structlog.stdlib.get_logger()

#: How long a worker may take to end a run that it was told to stop.
_STOP_SECONDS = 5.0


class RunControl:
    def __init__(
        self,
        *,
        runs: RunStore,
        queue: JobQueue,
        stream: EventStream,
        follower: Follower,
        workers: WorkerRegistry,
        failed_runs: FailedRuns,
    ) -> None:
        self._runs = runs
        self._queue = queue
        self._stream = stream
        self._follower = follower
        self._workers = workers
        self._failed_runs = failed_runs

    async def find(self, run_id: str) -> Run:
        """Raises NotFound if there is no such run."""
        run = await self._runs.get(run_id)
        if run is None:
            raise NotFound(f"There is no run {run_id!r}, or it is no longer kept.")
        return run

    async def describe(self, run_id: str) -> dict[str, Any]:
        """What is known of a run, who has it and how long its log is; not what was said.

        Raises NotFound.
        """
        run = await self.find(run_id)
        worker = await self._queue.leased_by(run_id)
        offset = (await self._stream.tail(run_id)).offset
        fields = {**run.model_dump(mode="json"), "continues": " ".join(run.continues)}
        return {**fields, "worker": worker, "events": offset}

    async def stop_live(self, run_id: str) -> Run:
        """Stop a run as its user would. Raises NotFound, or RunEnded."""
        return await self.stop(await self._live(run_id))

    async def stop(self, run: Run) -> Run:
        """End a run, and return when it has ended. The partial answer stays; ended runs stay so."""
        if run.state.ended:
            return run
        await self._runs.request_cancel(run.id)
        if worker_id := await self._queue.leased_by(run.id):
            await self._queue.send_command(worker_id, f"stop {run.id}")
            await self._wait_for_end(run)
        await self.end(run, [Abort()], Closure(RunState.CANCELLED))
        return await self._runs.get(run.id) or run

    async def end(self, run: Run, ending: list[StreamEvent], closure: Closure) -> None:
        """End a run that nobody works on; a worker that has it still is fenced off."""
        if await close_run(self._stream, run, ending, closure):
            log.info("run.ended", run_id=run.id, state=closure.state, error=closure.error)
            count_closed(run, closure.state, closure.error)
            if closure.state is RunState.FAILED:
                await self._failed_runs.add(run.id)
            await self._queue.remove(run.id, queue=run.queue)

    async def requeue(self, run_id: str) -> Run:
        """Make a run due now that waits for another time, or whose job has left its queue.

        Raises:
            NotFound, RunEnded: if there is no such live run.
            RunLeased: if a worker works on it.
            JobMissing: if nothing is left to be queued.
        """
        run = await self._live(run_id)
        match await self._queue.requeue(run_id, queue=run.queue):
            case "held":
                worker = await self._queue.leased_by(run_id)
                raise RunLeased(
                    f"Worker {worker} works on it."
                    f" To move it elsewhere: mamba worker drain {worker}"
                )
            case "gone":
                raise JobMissing(f"Its job is gone. End it: mamba run stop {run_id}")
            case _:
                return run

    async def drain(self, worker_id: str) -> None:
        """Have a worker end as at SIGTERM: its answers may finish, or are handed over.

        Raises:
            NotFound: if there is no such worker.
            WorkerUnheard: if it does not listen.
        """
        if worker_id not in {worker.id for worker in await self._workers.alive()}:
            raise NotFound(f"No worker {worker_id!r} is alive. Those that are: mamba worker list")
        await self._queue.send_command(worker_id, "drain")
        if not await _until(partial(self._leaves, worker_id), seconds=ALIVE_SECONDS):
            raise WorkerNotResponding(f"{worker_id} did not listen. Send its process SIGTERM.")

    async def _live(self, run_id: str) -> Run:
        run = await self.find(run_id)
        if run.state.ended:
            raise RunEnded(f"The run has ended: it is {run.state}.")
        return run

    async def _wait_for_end(self, run: Run) -> None:
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                with self._follower.follow(run.id) as following:
                    while not any(entry.ends for entry in await following.read()):
                        pass
        except TimeoutError:
            log.warning("run.stop_unheard", run_id=run.id)

    async def _leaves(self, worker_id: str) -> bool:
        alive = {worker.id: worker for worker in await self._workers.alive()}
        return worker_id not in alive or alive[worker_id].draining


async def _until(holds: Callable[[], Awaitable[bool]], *, seconds: float) -> bool:
    """Wait for what another process does; whether it did it in time."""
    try:
        async with asyncio.timeout(seconds):
            while not await holds():  # noqa: ASYNC110  (nothing here can ring)
                await asyncio.sleep(0.05)
    except TimeoutError:
        return False
    return True
