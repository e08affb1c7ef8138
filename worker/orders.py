"""Orders to this worker, by the channel of its name. A lost one is found in the runs' hashes."""

import asyncio
from contextlib import suppress

from shared.background import Background
from shared.redis import REDIS_AWAY
from shared.runs import RunStore
from worker.running import Interrupt, Running


class Orders(Background):
    def __init__(self, runs: RunStore, running: Running) -> None:
        self._runs = runs
        self._running = running
        self._gap = asyncio.Event()

    def on_message(self, message: bytes) -> None:
        order, _, run_id = message.decode().partition(" ")
        if order == "stop":
            self._running.cancel(run_id, Interrupt.STOP)

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
