"""Receives the commands that are sent to this worker."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from shared.background_task import BackgroundTask
from shared.queue.commands import DrainWorker, StopJob, decode_command
from shared.redis.client import REDIS_UNAVAILABLE
from shared.runs.store import RunStore
from worker.jobs.running_runs import Interrupt, RunningRuns


class CommandListener(BackgroundTask):
    """Executes the commands sent to this worker.

    Commands sent during a gap in the subscription are lost, so after a gap it reads stop requests
    from the runs' hashes. `drain` is called to shut the worker down.
    """

    def __init__(self, runs: RunStore, running: RunningRuns, drain: Callable[[], None]) -> None:
        self._runs = runs
        self._running = running
        self._drain = drain
        self._gap = asyncio.Event()

    def on_message(self, message: bytes) -> None:
        match decode_command(message):
            case StopJob(job_id):
                self._running.cancel(job_id, Interrupt.STOP)
            case DrainWorker():
                self._drain()
            case None:
                pass

    def on_gap(self) -> None:
        self._gap.set()

    async def _run(self) -> None:
        while True:
            await self._gap.wait()
            self._gap.clear()
            try:
                await self._read_stop_requests()
            except Exception:
                self._gap.set()  # for the restart of this task
                raise

    async def _read_stop_requests(self) -> None:
        for run_id in self._running:
            with suppress(*REDIS_UNAVAILABLE):
                run = await self._runs.get(run_id)
                if run is not None and run.stop_requests:
                    self._running.cancel(run_id, Interrupt.STOP)
