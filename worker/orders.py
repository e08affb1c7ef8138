"""Orders to this worker, by the channel of its name. A lost one is found in the runs' hashes."""

import asyncio
from contextlib import suppress
from typing import Self

from shared.redis import REDIS_AWAY
from shared.runs import RunStore
from worker.running import Interrupt, Running


class Orders:
    """A listener: use as an async context manager."""

    def __init__(self, runs: RunStore, running: Running) -> None:
        self._runs = runs
        self._running = running
        self._gap = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._mend_gaps(), name="orders")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def on_message(self, message: bytes) -> None:
        order, _, run_id = message.decode().partition(" ")
        if order == "stop":
            self._running.cancel(run_id, Interrupt.STOP)

    def on_gap(self) -> None:
        self._gap.set()

    async def _mend_gaps(self) -> None:
        """Look up whether a stop was missed while the connection was away."""
        while True:
            await self._gap.wait()
            self._gap.clear()
            for run_id in self._running:
                with suppress(*REDIS_AWAY):
                    run = await self._runs.get(run_id)
                    if run is not None and run.cancel:
                        self._running.cancel(run_id, Interrupt.STOP)
