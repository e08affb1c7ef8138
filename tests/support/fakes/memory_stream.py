"""An in-memory event stream. It also stores the runs, with the methods of `RunStore`."""

import time
from itertools import accumulate

from shared.errors import CursorLost, Fenced, StreamClosed, StreamGap
from shared.runs.run import Run
from shared.streams.event_stream import (
    PAGE_SIZE,
    START,
    Append,
    Cursor,
    Entry,
    Page,
    StoredRun,
    Takeover,
    Verdict,
)
from shared.streams.run_state import RunState


class MemoryEventStream:
    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.entries: dict[str, list[Entry]] = {}
        self._ended: set[tuple[str, int]] = set()
        #: When each run was last written to, and how long it was not before crashes, in ms.
        self._written: dict[str, int] = {}
        self._crashed_ms: dict[str, int] = {}

    async def create(self, run: Run) -> None:
        self.runs[run.id] = run
        self.entries[run.id] = []

    async def get(self, run_id: str) -> Run | None:
        return self.runs.get(run_id)

    async def request_stop(self, run_id: str) -> None:
        self._change(run_id, stop_requests=self.runs[run_id].stop_requests + 1)

    async def count_failure(self, run_id: str, attempt: int, code: str = "") -> None:  # noqa: ARG002  (the store's)
        if self._first_end(run_id, attempt):
            self._change(run_id, failures=self.runs[run_id].failures + 1)

    async def count_handover(self, run_id: str, attempt: int) -> None:
        if self._first_end(run_id, attempt):
            self._change(run_id, handovers=self.runs[run_id].handovers + 1)

    async def take_over(self, run_id: str, *, worker: str = "") -> Takeover:  # noqa: ARG002
        run = self.runs.get(run_id)
        if run is None or run.state.ended:
            raise StreamClosed
        now = _now_ms()
        started = run.started_at or now
        attempt = run.attempts + 1
        self._change(run_id, state=RunState.RUNNING, attempts=attempt, started_at=started)
        crashed = attempt > 1 and (run_id, attempt - 1) not in self._ended
        unwritten = now - self._written.get(run_id, now) if crashed else 0
        self._crashed_ms[run_id] = self._crashed_ms.get(run_id, 0) + unwritten
        self._written[run_id] = now
        return Takeover(
            attempt,
            offset=len(self.entries[run_id]),
            stop_requested=run.stop_requests > 0,
            elapsed=(now - started - self._crashed_ms[run_id]) / 1000,
            failures=run.failures,
            handovers=run.handovers,
            queue=run.queue,
            crashed=crashed,
            admitted_at=run.admitted_at,
        )

    async def append(self, *appends: Append) -> list[Verdict]:
        return [self._append(append) for append in appends]

    def _append(self, append: Append) -> Verdict:
        run, log = self.runs.get(append.run_id), self.entries.get(append.run_id, [])
        attempt = run.attempts if run else 0
        if append.attempt < attempt:
            return Fenced()
        if run is None or append.attempt > attempt or append.first > len(log) + 1:
            return StreamGap()
        new = append.entries[len(log) + 1 - append.first :]
        if new and run.state.ended:
            return StreamClosed()
        self._written[append.run_id] = _now_ms()
        log += [Entry(attempt, len(log) + i, data) for i, data in enumerate(new, start=1)]
        if new and (closure := append.closure):
            error = closure.error or run.error
            self._change(run.id, state=closure.state, error=error, ended_at=_now_ms())
        if append.closure:
            return StoredRun(run.owner, sum(len(entry.data) for entry in log))
        return run.stop_requests > 0

    async def read(
        self,
        run_id: str,
        after: Cursor = START,
        *,
        count: int = PAGE_SIZE,
        max_bytes: int | None = None,
    ) -> Page:
        entries = self.entries.get(run_id, [])
        if after.offset and after not in [e.cursor for e in entries[after.offset - 1 :][:1]]:
            raise CursorLost
        rest = entries[after.offset :]
        fitting = _fitting(rest[:count], max_bytes)
        too_large = len(rest[0].data) if rest and not fitting else 0
        lines = (b"%d-%d %b" % (e.attempt, e.offset, e.data) for e in fitting)
        return Page(b"\n".join(lines), more=len(rest) > len(fitting), too_large=too_large)

    async def tail(self, run_id: str) -> Cursor:
        run = self.runs.get(run_id)
        return Cursor(run.attempts if run else 0, len(self.entries.get(run_id, [])))

    def shard(self, run_id: str) -> str:  # noqa: ARG002  (the protocol's)
        return ""

    def _first_end(self, run_id: str, attempt: int) -> bool:
        seen = (run_id, attempt) in self._ended
        self._ended.add((run_id, attempt))
        return not seen

    def _change(self, run_id: str, **fields: object) -> None:
        self.runs[run_id] = self.runs[run_id].model_copy(update=fields)


def _fitting(entries: list[Entry], max_bytes: int | None) -> list[Entry]:
    """Return the first entries that have at most `max_bytes`."""
    if max_bytes is None:
        return entries
    sizes = accumulate(len(entry.data) for entry in entries)
    return [entry for entry, size in zip(entries, sizes, strict=True) if size <= max_bytes]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
