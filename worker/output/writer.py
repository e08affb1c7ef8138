"""Writes events to streams, in group commits that grow with back-pressure.

Most events are sent at once (`worker/output/write_rules.py`). While a pipeline is in flight, events
of all runs are buffered and successive deltas of one part are merged; the next pipeline sends all
of them. An idle worker writes one entry per token without delay; a busy worker writes larger
entries with less work per token.

Each node of a Redis Cluster has its own shard: a node that is unreachable delays only its streams.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self
from weakref import WeakSet

import structlog

from shared.background_task import BackgroundTask
from shared.backoff import Backoff
from shared.errors import AnswerTooLarge, Fenced, StreamClosed, StreamGap, WriterStopped
from shared.redis.client import REDIS_UNAVAILABLE, OutOfMemoryError
from shared.streams.answer_digest import AnswerDigest
from shared.streams.event_stream import Append, Closure, EventStream, StoredRun, Verdict
from shared.streams.events import DONE, StreamEvent
from worker.output.write_rules import CONTENT, delay_of, merge
from worker.telemetry.metrics import APPEND_SECONDS, APPENDS_REFUSED

log = structlog.stdlib.get_logger()

#: Maximum number of unwritten events of a run. At this number, the run waits for Redis.
_MAX_BUFFERED_EVENTS = 512
#: Metric labels of refused appends.
_REFUSAL_LABELS: dict[type, str] = {Fenced: "fenced", StreamClosed: "closed", StreamGap: "gap"}
#: Answers pause while Redis is unreachable, so the delay stays short.
_MAX_RETRY_SECONDS = 1.0


class GroupCommitter:
    """Commits the events of all runs of a process. Use it as an async context manager."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._shards: dict[str, ShardWriter] = {}
        #: Set when a shard has failed: this process can no longer write.
        self.failed = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        stops = (shard.stop() for shard in self._shards.values())
        results = await asyncio.gather(*stops, return_exceptions=True)
        if failure := next(filter(None, results), None):
            raise failure

    def shard(self, run_id: str) -> "ShardWriter":
        """Return a run's shard.

        It keeps the shard for a whole attempt, even if its hash slot moves to another node.
        """
        name = self._stream.shard(run_id)
        if name not in self._shards:
            self._shards[name] = ShardWriter(self._stream, self.failed).start()
        return self._shards[name]


class ShardWriter(BackgroundTask):
    """Writes the runs of one Redis node, one pipeline at a time."""

    #: After an error, it is unknown which events were written.
    restarts = False

    def __init__(self, stream: EventStream, failed: asyncio.Event) -> None:
        self._stream = stream
        self._failed = failed
        self._stopped = False
        self._writers = WeakSet[RunWriter]()
        self._pending: dict[RunWriter, None] = {}
        #: Writers whose events Redis had no memory for.
        self._refused: dict[RunWriter, None] = {}
        #: Submits them again.
        self._retry: asyncio.TimerHandle | None = None
        self._memory = Backoff(0.1, _MAX_RETRY_SECONDS)
        self._wakeup = asyncio.Event()

    def add(self, writer: "RunWriter") -> None:
        """Add a writer, to be notified when the shard stops."""
        self._writers.add(writer)
        if self._stopped:
            writer.on_stopped()

    def submit(self, writer: "RunWriter") -> None:
        if writer in self._refused and not writer.is_ending:
            return
        self._refused.pop(writer, None)
        self._pending[writer] = None
        self._wakeup.set()

    async def _run(self) -> None:
        try:
            await self._write()
        except Exception:
            self._failed.set()
            raise
        finally:
            self._stopped = True
            for writer in list(self._writers):
                writer.on_stopped()

    async def _write(self) -> None:
        while True:
            await self._wakeup.wait()
            self._wakeup.clear()
            pending, self._pending = self._pending, {}
            appends = {writer: append for writer in pending if (append := _take(writer))}
            verdicts = await self._append([*appends.values()])
            full: list[RunWriter] = []
            for (writer, append), verdict in zip(appends.items(), verdicts, strict=True):
                if isinstance(verdict, OutOfMemoryError):
                    writer.put_back(append)
                    full.append(writer)
                else:
                    writer.on_result(verdict)
            self._retry_later(full)

    def _retry_later(self, writers: list["RunWriter"]) -> None:
        """Retry the appends of these writers. Meanwhile, other runs can still end."""
        self._refused |= dict.fromkeys(writers)
        if self._retry is not None:
            return
        if self._refused:
            delay = self._memory.failed()
            if self._memory.should_log():
                log.warning(
                    "commit.redis_full",
                    message="Redis has no memory for new events; the append will be repeated",
                )
            self._retry = asyncio.get_running_loop().call_later(delay, self._submit_refused)
        elif not self._pending and self._memory.succeeded():
            log.info("commit.redis_available", message="Redis accepts appends again")

    def _submit_refused(self) -> None:
        self._retry = None
        refused, self._refused = self._refused, {}
        for writer in refused:
            self.submit(writer)

    async def _append(self, appends: list[Append]) -> list[Verdict]:
        """Repeat until Redis has replied. Appends are idempotent."""
        backoff = Backoff(0.02, _MAX_RETRY_SECONDS)
        while True:
            try:
                with APPEND_SECONDS.time():
                    verdicts = await self._stream.append(*appends)
            except REDIS_UNAVAILABLE as error:
                delay = backoff.failed()
                if backoff.should_log():
                    log.warning(
                        "commit.redis_unavailable",
                        message="Redis is unreachable; the append will be repeated",
                        error=str(error),
                    )
                await asyncio.sleep(delay)
            else:
                if backoff.succeeded():
                    log.info("commit.redis_available", message="Redis accepts appends again")
                return verdicts


class PendingEnd(NamedTuple):
    """The final state of a run, and the function that returns its last events."""

    closure: Closure
    describe: Callable[[int, str | None], Sequence[StreamEvent]] | None


class RunWriter:
    """Writes the events of one run in one attempt.

    `on_refused` is called once when the stream refuses an append or this process can write no more,
    `on_stop` when a stop was requested, and `on_content` once, before the first event with content
    is written.
    """

    def __init__(
        self,
        committer: GroupCommitter,
        run_id: str,
        *,
        attempt: int,
        offset: int,
        stored_bytes: int = 0,
        max_bytes: int = sys.maxsize,
        digest: AnswerDigest | None = None,
        on_refused: Callable[[], None],
        on_stop: Callable[[], None],
        on_content: Callable[[], None] | None = None,
    ) -> None:
        self._shard = committer.shard(run_id)
        self._run_id = run_id
        self._attempt = attempt
        self._next = offset + 1
        #: The size of the run's stream, and its limit.
        self._bytes = stored_bytes
        self._max_bytes = max_bytes
        #: Holds the events of earlier attempts.
        self._digest = digest or AnswerDigest()
        self._on_refused = on_refused
        self._on_stop = on_stop
        self._on_content = on_content
        self._buffer: list[StreamEvent] = []
        #: Encoded events that Redis had no memory for.
        self._kept: list[bytes] = []
        #: What the attempt has used, if it is not stored yet.
        self._usage = ""
        #: Whether the run is about to end, so that its events need no free memory.
        self.is_ending = False
        self._ending: PendingEnd | None = None
        self._refusal: Exception | None = None
        #: Set when the run has ended.
        self._stored: StoredRun | None = None
        self._written = asyncio.Event()
        self._written.set()
        self._shard.add(self)

    @property
    def refusal(self) -> Exception | None:
        """Why the attempt can no longer write, or None if it can."""
        return self._refusal

    @property
    def has_capacity(self) -> bool:
        """Whether `write` and `wait_for_capacity` would return at once."""
        return self._refusal is None and self._bytes <= self._max_bytes and not self._is_full

    @property
    def _is_full(self) -> bool:
        return len(self._kept) + len(self._buffer) > _MAX_BUFFERED_EVENTS

    def write(self, event: StreamEvent) -> None:
        """Buffer an event, and submit it after its delay.

        Raises:
            StreamError: if the stream refused an earlier event, or this process cannot write.
        """
        if self._refusal is not None:
            raise self._refusal
        if self._buffer and (merged := merge(self._buffer[-1], event)) is not None:
            self._buffer[-1] = merged
        else:
            self._buffer.append(event)
        self._written.clear()
        if delay := delay_of(event):
            asyncio.get_running_loop().call_later(delay, self._submit_buffer)
        elif delay is not None:
            self._shard.submit(self)

    def _submit_buffer(self) -> None:
        if self._buffer:
            self._shard.submit(self)

    def record_usage(self, usage: str) -> None:
        """Store what the attempt has used so far, together with the next events.

        Without events, it is stored by the next drain.
        """
        if self._refusal is None:
            self._usage = usage
            self._written.clear()

    async def wait_for_capacity(self) -> None:
        """Wait while too many events are unwritten.

        Raises:
            AnswerTooLarge: if the run's stream has reached its limit.
        """
        if self._bytes > self._max_bytes:
            raise AnswerTooLarge
        if self._is_full:
            await self._written.wait()

    async def drain(self, *, ending: bool = False) -> None:
        """Wait until all events are written. With `ending`, also if the memory of Redis is full.

        Raises:
            StreamError: if the stream refused them, or this process cannot write.
        """
        self.is_ending = self.is_ending or ending
        if self._buffer or self._usage or (ending and not self._written.is_set()):
            self._shard.submit(self)
        await self._written.wait()
        if self._refusal is not None:
            raise self._refusal

    async def close(
        self,
        ending: Sequence[StreamEvent],
        closure: Closure,
        describe: Callable[[int, str | None], Sequence[StreamEvent]] | None = None,
    ) -> StoredRun | None:
        """End the run: write the last events, the terminal event, `[DONE]`, and the final state.

        Returns what the run occupies.

        `describe` returns further last events, from the offset of the first of them and the digest
        of the answer.

        Raises:
            StreamError: if the run has been ended or taken over elsewhere.
        """
        for event in ending:
            self.write(event)
        if self._refusal is not None:
            raise self._refusal
        self._ending = PendingEnd(closure, describe)
        self._written.clear()
        await self.drain(ending=True)
        return self._stored

    def take(self) -> Append:
        """Return the append for the next pipeline, and clear the buffer."""
        if self._on_content and any(isinstance(event, CONTENT) for event in self._buffer):
            self._on_content()
            self._on_content = None
        new = [event.encode() for event in self._buffer]
        self._digest.add(new)
        self._bytes += sum(map(len, new))
        entries, closure = self._kept + new, None
        if self._ending is not None:
            closure, describe = self._ending
            last = describe(self._next + len(entries), self._digest.value()) if describe else ()
            entries += [*(event.encode() for event in last), DONE]
        append = Append(
            self._run_id,
            self._attempt,
            self._next,
            entries,
            closure,
            self.is_ending,
            self._usage,
        )
        self._buffer, self._kept, self._usage, self._ending = [], [], "", None
        self._next += len(entries)
        return append

    def put_back(self, append: Append) -> None:
        """Keep events that Redis had no memory for, for the next append."""
        self._kept = [*append.entries]
        self._next = append.first
        self._usage = self._usage or append.usage

    def on_result(self, verdict: Verdict) -> None:
        if self._refusal is not None:
            return
        if isinstance(verdict, Exception):
            self._refusal = verdict
            APPENDS_REFUSED.labels(_REFUSAL_LABELS.get(type(verdict), "other")).inc()
            self._written.set()
            self._on_refused()
            return
        if not (self._buffer or self._usage or self._ending):
            self._written.set()
        if isinstance(verdict, StoredRun):
            self._stored = verdict
        elif verdict:
            self._on_stop()

    def on_stopped(self) -> None:
        """Stop waiting: unwritten events will never be written. The next attempt replaces them."""
        if self._refusal is None:
            self._refusal = WriterStopped()
            self._written.set()
            self._on_refused()


def _take(writer: RunWriter) -> Append | None:
    """Return the writer's append. A run that cannot be written must not block the others."""
    try:
        return writer.take()
    except Exception as error:  # noqa: BLE001  (affects this run only)
        writer.on_result(error)
        return None
