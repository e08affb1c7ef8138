"""A part of a process that has a task of its own."""

import asyncio
import os
import signal
from contextlib import suppress
from typing import Self

import structlog

from shared.telemetry.logs import where

log = structlog.stdlib.get_logger()


class BackgroundTask:
    """Use as an async context manager: `_run` runs for as long as it lasts.

    A process whose part has died by a mistake of ours would stand there and serve nobody: it leaves
    in good order instead, for its supervisor to start anew.
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
        kind = type(error).__name__
        log.critical("background.died", task=task.get_name(), error=kind, where=where(error))
        os.kill(os.getpid(), signal.SIGTERM)
