"""Orders to this worker, by the channel of its name. A lost one is found in the runs' hashes."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from shared.background_task import BackgroundTask
from shared.redis.client import REDIS_AWAY
from shared.runs.store import RunStore
from worker.jobs.running_runs import Interrupt, RunningRuns


class CommandListener(BackgroundTask):
    """`drain` is called where the worker is to end."""

    def __init__(self, runs: RunStore, running: RunningRuns, drain: Callable[[], None]) -> None:
        self._runs = runs
        self._running = running
        self._drain = drain
        self._gap = asyncio.Event()

    def on_message(self, message: bytes) -> None:
        order, _, run_id = message.decode().partition(" ")
        if order == "stop":
            self._running.cancel(run_id, Interrupt.STOP)
        elif order == "drain":
            self._drain()

    def on_gap(self) -> None:
        self._gap.set()

    async def _run(self) -> None:
        """Look up whether a stop was missed while the connection was away."""
        while True:
            await self._gap.wait()
            self._gap.clear()
            for run_id in self._running:
                with suppress(*REDIS_AWAY):
                    run = await self._runs.get(run_id)
                    if run is not None and run.cancel:
                        self._running.cancel(run_id, Interrupt.STOP)
