"""Ends a worker process whose shutdown takes too long."""

import os
import threading
from types import TracebackType
from typing import Self

import structlog

log = structlog.stdlib.get_logger()

#: After its drain, a worker hands over its runs and closes its connections. Platforms kill it 15 s
#: after the drain (`terminationGracePeriodSeconds` of the chart).
EXIT_SECONDS = 12.0


class ExitDeadline:
    """Ends the process with exit code 1 if the context is not left in time after `start`.

    It uses a thread, so it does not depend on the event loop that it limits.
    """

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def start(self, drain_seconds: float) -> None:
        self._timer = threading.Timer(drain_seconds + EXIT_SECONDS, _exit)
        self._timer.daemon = True
        self._timer.start()


def _exit() -> None:
    log.critical(
        "worker.exit_forced", message="Worker did not shut down in time and exits without cleanup"
    )
    os._exit(1)
