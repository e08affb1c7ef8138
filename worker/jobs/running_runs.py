"""The runs in progress in this process, how they are interrupted, and how many start at once."""

import asyncio
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum

from shared.runs.ended_runs import EndedRunParameters
from shared.waiting import wait_briefly

#: A run that has not prepared its first model request after this time waits for something other
#: than the processor, such as a file or a tool server. It does not delay other runs.
_MAX_START_SECONDS = 0.02


class Interrupt(Enum):
    #: A stop was requested.
    STOP = "stop"
    #: Another worker has the run or may have it, or this process can no longer write.
    TAKEN_OVER = "taken over"


class RunningRun:
    """The task of a run. Only the first interrupt counts, and none once the run is closing."""

    def __init__(self, task: asyncio.Task[object]) -> None:
        self._task = task
        self.began_at = time.monotonic()
        #: Set when the first model request of the run is prepared, or when the run ends.
        self.prepared = asyncio.Event()
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
        #: The runs whose first model request may not be prepared yet, oldest first.
        self._starting: deque[RunningRun] = deque()

    def __iter__(self) -> Generator[str]:
        yield from list(self._runs)

    @contextmanager
    def enter(self, run_id: str) -> Generator[RunningRun]:
        """Register the current task as the run's while the context lasts."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (coroutines run in tasks)
        self._runs[run_id] = run = RunningRun(task)
        self._starting.append(run)
        try:
            yield run
        finally:
            run.prepared.set()
            if self._runs.get(run_id) is run:
                del self._runs[run_id]

    def cancel(self, run_id: str, interrupt: Interrupt) -> None:
        """Interrupt a run if this process is running it."""
        if (run := self._runs.get(run_id)) is not None:
            run.cancel(interrupt)

    async def wait_for_starts(self) -> None:
        """Wait until at most one run prepares its first model request.

        The preparation takes milliseconds of CPU time. If many runs prepare their requests
        together, all of them send the requests late. If they do it one after another, most
        requests are sent much earlier. One run may still prepare its request: the next ones use the
        CPU while it waits for Redis.
        """
        await asyncio.sleep(0)  # jobs that were claimed just now enter first
        while len(self._starting) > 1:
            run = self._starting.popleft()
            expires_at = run.began_at + _MAX_START_SECONDS
            await wait_briefly(run.prepared, expires_at - time.monotonic())
