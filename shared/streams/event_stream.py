"""The event stream: one append-only stream per run, the only source of truth for its output.

An entry holds one event. Its id is `<attempt>-<offset>`. Offsets count from 1 without gaps over
the whole run. A worker that takes over a run raises the attempt and appends the fence
`<attempt>-0`; the stream then rejects every earlier writer. Appends are idempotent. The last entry
of an ended run is `[DONE]`, and nothing can follow it.
"""

import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from shared.errors import CursorLost, Fenced, StreamClosed, StreamGap
from shared.redis import keys
from shared.redis.client import (
    REDIS_UNAVAILABLE,
    NoScriptError,
    OutOfMemoryError,
    Redis,
    RedisError,
    as_unavailable,
)
from shared.redis.scripts import RedisScript
from shared.streams import scripts
from shared.streams.events import DONE
from shared.streams.run_state import RunState

if TYPE_CHECKING:
    from shared.redis.cluster_client import ClusterClient

_Script = RedisScript[..., Any]

#: Maximum number of entries that one read returns.
PAGE_SIZE = 1000


class Entry(NamedTuple):
    """One event in a stream, as the bytes that clients receive."""

    attempt: int
    offset: int
    data: bytes
    #: The number of deltas before it that were merged into it.
    merged_count: int = 0

    @property
    def cursor(self) -> "Cursor":
        return Cursor(self.attempt, self.offset)

    @property
    def is_last(self) -> bool:
        """Whether this entry ends the stream."""
        return self.data == DONE


class Cursor(NamedTuple):
    """The position after the entry with this id."""

    attempt: int
    offset: int


START = Cursor(0, 0)


class Page(NamedTuple):
    """Entries in order, as lines, and whether the stream held more when it was read."""

    lines: bytes
    more: bool
    #: The size of the next entry, if it alone is larger than the read may return.
    too_large: int = 0

    @property
    def entries(self) -> list[Entry]:
        return parse_entries(self.lines)


_LINE = re.compile(rb"(\d+)-(\d+) (.*)")


def parse_entries(lines: bytes) -> list[Entry]:
    """Parse lines `<id> <event>`, the form in which entries are read and published."""
    return [
        Entry(int(attempt), int(offset), data) for attempt, offset, data in _LINE.findall(lines)
    ]


class StoredRun(NamedTuple):
    """The owner of a run, and an estimate of the bytes that its stream occupies."""

    owner: str
    stream_bytes: int


#: The result of an append: for the end of a run what it occupies, otherwise whether a stop was
#: requested, or the error that rejected it.
Verdict = bool | StoredRun | Exception


class Takeover(NamedTuple):
    """The state of a run at the start of a new attempt."""

    attempt: int
    #: The last offset in the stream.
    offset: int
    stop_requested: bool
    #: Seconds since the run first started, without those after the last event of crashed attempts.
    elapsed: float
    #: Numbers of earlier attempts that failed, and that were handed over.
    failures: int
    handovers: int
    #: Seconds from the run's admission to its first start.
    waited: float = 0.0
    #: The name of its queue.
    queue: str = keys.MAIN_QUEUE
    #: The ids of the runs that it supersedes, separated by spaces.
    supersedes: str = ""
    #: Whether the previous attempt ended without a record.
    crashed: bool = False
    #: The id of the worker that made the previous attempt.
    previous_worker: str = ""
    #: When the run was admitted, in Unix milliseconds.
    admitted_at: int = 0

    @property
    def crashes(self) -> int:
        """Earlier attempts that neither failed nor were handed over.

        Their worker died, lost its lease, or hit an unexpected error.
        """
        return max(0, self.attempt - 1 - self.failures - self.handovers)


@dataclass(frozen=True, slots=True)
class Closure:
    """The final state of a run and, if it failed, its error code."""

    state: RunState
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Append:
    """Consecutive entries to write; `first` is the offset of the first one.

    With a `closure`, the last entry must be `[DONE]`, and the same step sets the run's final state.
    """

    run_id: str
    attempt: int
    first: int
    entries: Sequence[bytes]
    closure: Closure | None = None
    #: Whether the run is about to end, so that Redis must accept them when its memory is used up.
    ending: bool = False
    #: What the attempt has used so far, to store with the run, or ''.
    usage: str = ""


class EventStream(Protocol):
    """The interface of event streams. Redis and the in-memory fake pass the same contract tests."""

    async def take_over(self, run_id: str, *, worker: str = "") -> Takeover:
        """Become the run's only writer: raise the attempt and fence off the previous one.

        `worker` is the id of the worker that makes the attempt.

        Raises:
            StreamClosed: if the run has ended or is no longer retained.
        """
        ...

    async def append(self, *appends: Append) -> list[Verdict]:
        """Write to any number of streams in one round trip.

        The errors among the verdicts are Fenced, StreamClosed, StreamGap, and OutOfMemoryError. The
        last one is never the result of an append that ends its run or belongs to its end.
        """
        ...

    async def read(
        self,
        run_id: str,
        after: Cursor = START,
        *,
        count: int = PAGE_SIZE,
        max_bytes: int | None = None,
    ) -> Page:
        """Return the entries after a cursor, without fences: at most `count` and `max_bytes`.

        Raises:
            CursorLost: if the stream has no entry at the cursor.
        """
        ...

    async def tail(self, run_id: str) -> Cursor:
        """Return the cursor of the last entry."""
        ...

    def shard(self, run_id: str) -> str:
        """Return the name of the stream's shard. Appends to different shards are independent."""
        ...


class RedisEventStream:
    """Event streams in Redis. Pass `cluster` if `redis` is a cluster client.

    With a `publisher`, `redis` must confirm its calls (`shared.redis.confirmation`). Events are
    published with that other client after their confirmation, and reads return confirmed events.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        live_ttl: float,
        retention: float,
        cluster: "ClusterClient | None" = None,
        publisher: Redis | None = None,
    ) -> None:
        self._redis = redis
        self._cluster = cluster
        self._publisher = publisher
        self._append, self._append_last = _append_scripts(
            sharded=cluster is not None, published=publisher is None
        )
        self._live_ttl_ms = int(live_ttl * 1000)
        self._retention_ms = int(retention * 1000)

    async def take_over(self, run_id: str, *, worker: str = "") -> Takeover:
        nonce = secrets.token_hex(8)  # redis-py repeats the command if the reply is lost
        reply = await scripts.take_over(
            self._redis,
            stream=keys.stream(run_id),
            run=keys.run(run_id),
            ttl_ms=self._live_ttl_ms,
            nonce=nonce,
            worker=worker,
        )
        if not reply:
            raise StreamClosed
        attempt, offset, stop_requests, elapsed_ms, failures, handovers, waited_ms = reply[:7]
        queue, supersedes, crashed, previous_worker, admitted_at = reply[7:]
        return Takeover(
            attempt=attempt,
            offset=offset,
            stop_requested=bool(stop_requests),
            elapsed=elapsed_ms / 1000,
            failures=failures,
            handovers=handovers,
            waited=waited_ms / 1000,
            queue=queue.decode(),
            supersedes=supersedes.decode(),
            crashed=bool(crashed),
            previous_worker=previous_worker.decode(errors="replace"),
            admitted_at=admitted_at,
        )

    async def append(self, *appends: Append) -> list[Verdict]:
        replies = await self._send(appends)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            replies = await self._send(appends, with_text=True)
        for reply in replies:
            error = as_unavailable(reply) if isinstance(reply, Exception) else None
            is_full = isinstance(error, OutOfMemoryError)
            if isinstance(error, REDIS_UNAVAILABLE) and not is_full:
                raise error
        verdicts = [_verdict(reply) for reply in replies]
        if self._publisher is not None:
            await self._publish(self._publisher, _written(appends, verdicts))
        elif self._cluster is not None:
            await self._publish_moving(self._cluster, _written(appends, verdicts))
        return verdicts

    async def _send(self, appends: Sequence[Append], *, with_text: bool = False) -> list[object]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for append in appends:
                closure = append.closure
                script = self._append_last if closure or append.ending else self._append
                add_to = script.add_text_to if with_text else script.add_to
                add_to(
                    pipe,
                    stream=keys.stream(append.run_id),
                    run=keys.run(append.run_id),
                    attempt=append.attempt,
                    first=append.first,
                    ttl_ms=self._retention_ms if closure else self._live_ttl_ms,
                    final_state=closure.state if closure else "",
                    error_code=(closure.error or "") if closure else "",
                    usage=append.usage,
                    entries=append.entries,
                )
            return await pipe.execute(raise_on_error=False)

    async def _publish_moving(self, cluster: "ClusterClient", appends: Sequence[Append]) -> None:
        """Publish to the old nodes of migrating streams, where followers are still subscribed.

        Best effort: followers reread the stream when they resubscribe.
        """
        moving = [append for append in appends if cluster.is_moving(keys.stream(append.run_id))]
        with suppress(*REDIS_UNAVAILABLE, RedisError):
            await self._publish(cluster, moving)

    async def _publish(self, redis: Redis, appends: Sequence[Append]) -> None:
        if not appends:
            return
        command = "SPUBLISH" if self._cluster else "PUBLISH"
        async with redis.pipeline(transaction=False) as pipe:
            for append in appends:
                numbered = enumerate(append.entries, start=append.first)
                lines = (b"%d-%d %b" % (append.attempt, offset, data) for offset, data in numbered)
                pipe.execute_command(command, keys.stream(append.run_id), b"\n".join(lines))
            replies = await pipe.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, Exception):
                raise as_unavailable(reply)

    async def read(
        self,
        run_id: str,
        after: Cursor = START,
        *,
        count: int = PAGE_SIZE,
        max_bytes: int | None = None,
    ) -> Page:
        reply = await scripts.read_page(
            self._redis,
            stream=keys.stream(run_id),
            cursor=f"{after.attempt}-{after.offset}" if after.offset else "",
            count=count,
            max_bytes=-1 if max_bytes is None else max_bytes,
        )
        if not reply:
            raise CursorLost
        lines, more, too_large = reply
        return Page(lines, bool(more), too_large)

    async def tail(self, run_id: str) -> Cursor:
        newest: list[tuple[bytes, dict[bytes, bytes]]] = await self._redis.execute_command(
            "XREVRANGE", keys.stream(run_id), "+", "-", "COUNT", 1
        )
        if not newest:
            return START
        entry_id, fields = newest[0]
        attempt, offset = map(int, entry_id.split(b"-"))
        # A fence stores the offset that it follows.
        return Cursor(attempt, offset or int(fields[b"d"]))

    def shard(self, run_id: str) -> str:
        return str(self._cluster.owner(keys.stream(run_id))) if self._cluster else ""


async def read_all(stream: EventStream, run_id: str) -> list[Entry]:
    """Return all entries of a stream."""
    page = await stream.read(run_id)
    entries = page.entries
    while page.more and entries:
        page = await stream.read(run_id, entries[-1].cursor)
        entries += page.entries
    return entries


def _append_scripts(*, sharded: bool, published: bool) -> tuple[_Script, _Script]:
    """Return the scripts of an append and of an append that ends its run."""
    if not published:
        return scripts.append_unpublished, scripts.append_last_unpublished
    if sharded:
        return scripts.append_sharded, scripts.append_last_sharded
    return scripts.append, scripts.append_last


def _written(appends: Sequence[Append], verdicts: Sequence[Verdict]) -> list[Append]:
    """Return the appends that were accepted and are not empty."""
    results = zip(appends, verdicts, strict=True)
    return [
        append
        for append, verdict in results
        if append.entries and not isinstance(verdict, Exception)
    ]


def _verdict(reply: object) -> Verdict:
    match reply:
        case [bytes() as owner, int() as stream_bytes]:
            return StoredRun(owner.decode(), stream_bytes)
        case b"fenced":
            return Fenced()
        case b"closed":
            return StreamClosed()
        case b"gap":
            return StreamGap()
        case Exception():
            return reply
        case _:
            return reply == 1
