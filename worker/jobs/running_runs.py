"""The runs in progress in this process, and how they are interrupted."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum

from shared.runs.ended_runs import EndedRunParameters


class Interrupt(Enum):
    #: A stop was requested.
    STOP = "stop"
    #: Another worker has the run or may have it, or this process can no longer write.
    TAKEN_OVER = "taken over"


class RunningRun:
    """The task of a run. Only the first interrupt counts, and none once the run is closing."""

    def __init__(self, task: asyncio.Task[object]) -> None:
        self._task = task
        self.interrupt: Interrupt | None = None
        self.closing = False
        #: How to record the end of the run, once an attempt has ended it.
        self.ended: EndedRunParameters | None = None

    def cancel(self, interrupt: Interrupt) -> None:
        if self.interrupt is None and not self.closing:
            self.interrupt = interrupt
            self._task.cancel()


class RunningRuns:
    """The runs that this process executes."""

    def __init__(self) -> None:
        self._runs: dict[str, RunningRun] = {}

    def __iter__(self) -> Generator[str]:
        yield from list(self._runs)

    @contextmanager
    def enter(self, run_id: str) -> Generator[RunningRun]:
        """Register the current task as the run's while the context lasts."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (coroutines run in tasks)
        self._runs[run_id] = run = RunningRun(task)
        try:
            yield run
        finally:
            if self._runs.get(run_id) is run:
                del self._runs[run_id]

    def cancel(self, run_id: str, interrupt: Interrupt) -> None:
        """Interrupt a run if this process is running it."""
        if (run := self._runs.get(run_id)) is not None:
            run.cancel(interrupt)
