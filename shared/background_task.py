"""Components that run in a background task."""

import asyncio
import os
import signal
from typing import ClassVar, Self

import structlog

from shared.backoff import delay_after
from shared.errors import BackgroundTaskFailed
from shared.telemetry.logs import raise_location
from shared.telemetry.metrics import BACKGROUND_FAILURES
from shared.waiting import raise_if_cancelled

log = structlog.stdlib.get_logger()

_RESTART_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
#: A task that ran this long before it failed restarts after the shortest delay again.
_STABLE_SECONDS = 60.0


class BackgroundTask:
    """Runs `_run` in a task until the async context is left.

    If `_run` fails with an unexpected error, it starts again after a delay. A class whose state may
    be inconsistent after an error sets `restarts = False`: the process then sends itself SIGTERM,
    shuts down gracefully, and `stop` raises `BackgroundTaskFailed`, so that it exits with an error.
    """

    restarts: ClassVar[bool] = True
    _task: asyncio.Task[None] | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        BACKGROUND_FAILURES.labels(cls.__name__)  # the series starts at 0

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def start(self) -> Self:
        self._task = asyncio.create_task(self._keep_running(), name=type(self).__name__)
        return self

    async def stop(self) -> None:
        """End the task.

        Raises:
            BackgroundTaskFailed: if it had failed before.
        """
        if self._task is None:
            return
        self._task.cancel()
        [result] = await asyncio.gather(self._task, return_exceptions=True)
        if isinstance(result, BackgroundTaskFailed):
            raise result

    async def _run(self) -> None:
        raise NotImplementedError

    async def _keep_running(self) -> None:
        failures, now = 0, asyncio.get_running_loop().time
        while True:
            started = now()
            try:
                await self._run()
            except Exception as error:  # noqa: BLE001  (must not end the task silently)
                raise_if_cancelled()
                failures = 0 if now() - started > _STABLE_SECONDS else failures
                delay = delay_after(failures, _RESTART_SECONDS)
                failures += 1
                self._report(error, delay)
                await asyncio.sleep(delay)
            else:
                return

    def _report(self, error: Exception, delay: float) -> None:
        """Count and log a failure, and end the process if the task cannot start again."""
        name = type(self).__name__
        BACKGROUND_FAILURES.labels(name).inc()
        fields = {"task": name, "error": type(error).__name__, "where": raise_location(error)}
        if self.restarts:
            log.error(
                "background_task.failed",
                message="Background task failed and will be restarted",
                retry_in=delay,
                **fields,
            )
            return
        log.critical(
            "background_task.died",
            message="Background task failed; the process shuts down",
            **fields,
        )
        os.kill(os.getpid(), signal.SIGTERM)
        raise BackgroundTaskFailed(name) from error
