"""Components that run in a background task."""

import asyncio
import os
import signal
from contextlib import suppress
from typing import Self

import structlog

from shared.telemetry.logs import raise_location

log = structlog.stdlib.get_logger()


class BackgroundTask:
    """Runs `_run` in a task until the async context is left.

    If `_run` fails with an unexpected error, the process sends itself SIGTERM and shuts down
    gracefully, so that its supervisor restarts it. Without the task it would stay up and be broken.
    """

    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def start(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=type(self).__name__)
        self._task.add_done_callback(_on_end)
        return self

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._task

    async def _run(self) -> None:
        raise NotImplementedError


def _on_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical(
            "background_task.died",
            message="Background task failed; the process shuts down",
            task=task.get_name(),
            error=type(error).__name__,
            where=raise_location(error),
        )
        os.kill(os.getpid(), signal.SIGTERM)
