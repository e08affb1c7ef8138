"""Writing to the logs: one group commit a process, coalesced by back-pressure.

The first event leaves at once. While a pipeline is in flight, what arrives on any run is held, and
successive deltas of one part are joined; the next pipeline carries it all. Idle, that is one token
an entry and no added wait; busy, larger entries and less work.

Logs at different nodes of a cluster have a lane each: a node that is away holds up its own.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Self

import structlog

from shared.background_task import BackgroundTask
from shared.errors import Fenced, StreamClosed, StreamGap
from shared.redis.client import REDIS_UNAVAILABLE
from shared.streams.event_stream import Append, Closure, EventStream
from shared.streams.events import (
    DONE,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolInputAvailable,
    ToolInputStart,
    joined,
)
from worker.telemetry.metrics import APPEND_SECONDS, APPENDS_REFUSED

log = structlog.stdlib.get_logger()

#: Joined deltas stay below this, in characters: an entry should be small.
_ENTRY_CHARS = 4096
#: Events a run may hold unwritten before its model has to wait for Redis.
_HELD_EVENTS = 512
#: Of an append that the log refuses, for the metrics.
_REASONS: dict[type, str] = {Fenced: "fenced", StreamClosed: "closed", StreamGap: "gap"}
#: What a reader sees first.
_CONTENT = (TextDelta, ReasoningDelta, ToolInputStart, ToolInputAvailable)
_RETRY_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5)


class GroupCommit:
    """One a process. Use as an async context manager."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._lanes: dict[str, _Lane] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for lane in self._lanes.values():
            await lane.stop()

    def shard(self, run_id: str) -> "_Lane":
        """The one that a run keeps to for a whole attempt, wherever its log may move."""
        name = self._stream.shard(run_id)
        if name not in self._lanes:
            self._lanes[name] = _Lane(self._stream).start()
        return self._lanes[name]


class _Lane(BackgroundTask):
    """Runs that are written in one pipeline at a time."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._waiting: dict[RunWriter, None] = {}
        self._bell = asyncio.Event()

    def submit(self, writer: "RunWriter") -> None:
        self._waiting[writer] = None
        self._bell.set()

    async def _run(self) -> None:
        while True:
            await self._bell.wait()
            self._bell.clear()
            waiting, self._waiting = self._waiting, {}
            appends = {writer: append for writer in waiting if (append := _take(writer))}
            verdicts = await self._append([*appends.values()])
            for writer, verdict in zip(appends, verdicts, strict=True):
                writer.settle(verdict)

    async def _append(self, appends: list[Append]) -> list[bool | Exception]:
        """Until Redis has it: an append that is repeated changes nothing."""
        failures = 0
        while True:
            try:
                with APPEND_SECONDS.time():
                    verdicts = await self._stream.append(*appends)
            except REDIS_UNAVAILABLE as error:
                delay = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
                failures += 1
                log.warning("commit.redis_away", error=str(error), retry_in=delay)
                await asyncio.sleep(delay)
            else:
                return verdicts


class RunWriter:
    """The one writer of a run in one attempt.

    `on_refused` is called once when the log refuses it, `on_cancel` when a stop was asked for,
    `on_content` once, when the first thing to see is about to be written.
    """

    def __init__(
        self,
        commit: GroupCommit,
        run_id: str,
        *,
        attempt: int,
        offset: int,
        on_refused: Callable[[], None],
        on_cancel: Callable[[], None],
        on_content: Callable[[], None] | None = None,
    ) -> None:
        self._lane = commit.shard(run_id)
        self._run_id = run_id
        self._attempt = attempt
        self._next = offset + 1
        self._on_refused = on_refused
        self._on_cancel = on_cancel
        self._on_content = on_content
        self._held: list[StreamEvent] = []
        self._closure: Closure | None = None
        self._refusal: Exception | None = None
        self._written = asyncio.Event()
        self._written.set()

    @property
    def only_fenced(self) -> bool:
        """Whether nothing that was written here was refused, but for a newer writer's sake."""
        return self._refusal is None or isinstance(self._refusal, Fenced)

    def write(self, event: StreamEvent) -> None:
        """Hand an event over; it is written as soon as Redis takes it.

        Raises:
            StreamError: if the log has refused an earlier one.
        """
        if self._refusal is not None:
            raise self._refusal
        if self._held and (both := _join(self._held[-1], event)) is not None:
            self._held[-1] = both
        else:
            self._held.append(event)
        self._written.clear()
        self._lane.submit(self)

    async def room(self) -> None:
        """Wait while too much is unwritten."""
        if len(self._held) > _HELD_EVENTS:
            await self._written.wait()

    async def drain(self) -> None:
        """Wait until all is written.

        Raises:
            StreamError: if the log refused it.
        """
        await self._written.wait()
        if self._refusal is not None:
            raise self._refusal

    async def close(self, ending: Iterable[StreamEvent], closure: Closure) -> None:
        """End the run: its last events, the terminal one among them, `[DONE]`, the final state.

        Raises:
            StreamError: if the log refused it: somebody else has ended or taken over the run.
        """
        for event in ending:
            self.write(event)
        self._closure = closure
        await self.drain()

    def take(self) -> Append:
        """What the next pipeline carries."""
        if self._on_content and any(isinstance(event, _CONTENT) for event in self._held):
            self._on_content()
            self._on_content = None
        entries = [event.encode() for event in self._held]
        if self._closure is not None:
            entries.append(DONE)
        self._held = []
        append = Append(self._run_id, self._attempt, self._next, entries, self._closure)
        self._next += len(entries)
        return append

    def settle(self, verdict: bool | Exception) -> None:  # noqa: FBT001  (the log's own reply)
        if self._refusal is not None:
            return
        if isinstance(verdict, Exception):
            self._refusal = verdict
            APPENDS_REFUSED.labels(_REASONS.get(type(verdict), "other")).inc()
            self._written.set()
            self._on_refused()
            return
        if not self._held:
            self._written.set()
        if verdict:
            self._on_cancel()


def _take(writer: RunWriter) -> Append | None:
    """What a run has to write. One that cannot be written must not hold up the others."""
    try:
        return writer.take()
    except Exception as error:  # noqa: BLE001  (whatever it is, it is this run's alone)
        writer.settle(error)
        return None


def _join(last: StreamEvent, event: StreamEvent) -> StreamEvent | None:
    size = len(getattr(last, "delta", "") or getattr(last, "input_text_delta", ""))
    return joined(last, event) if size < _ENTRY_CHARS else None
