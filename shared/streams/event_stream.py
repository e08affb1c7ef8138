"""The event stream: one append-only log a run, the only truth of what was said.

An entry is one event. Its id is `<attempt>-<offset>`: the offset counts from 1 without a hole over
the whole run; the attempt is the fence. Who takes a run over raises the attempt and appends the
fence `<attempt>-0`; from then on the log refuses the old writer, for ever. Appending the same
entries again changes nothing. The last entry of an ended run is `[DONE]`, and closure is final.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from shared.errors import Fenced, StreamClosed, StreamGap
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, NoScriptError, Redis, as_unavailable
from shared.streams import scripts
from shared.streams.events import DONE
from shared.streams.run_state import RunState

if TYPE_CHECKING:
    from shared.redis.cluster_client import ClusterClient

#: Entries, fences included, that one read fetches at most.
PAGE = 1000


class Entry(NamedTuple):
    attempt: int
    offset: int
    data: bytes

    @property
    def cursor(self) -> "Cursor":
        return Cursor(self.attempt, self.offset)

    @property
    def ends(self) -> bool:
        """Whether nothing can follow this entry."""
        return self.data == DONE


class Cursor(NamedTuple):
    """A place in a log: after the entry with this id. The offset alone decides."""

    attempt: int
    offset: int


START = Cursor(0, 0)


class Page(NamedTuple):
    """Entries in order, and whether the log held more when it was read."""

    entries: list[Entry]
    more: bool


class Takeover(NamedTuple):
    """What a new attempt finds.

    `offset` is the last one in the log, `elapsed` the seconds since the run first started,
    `failures` and `handovers` how many earlier attempts ended so, `waited` the seconds from the
    run's admission to its first start, `queue` the name of the queue that it waited in,
    `supersedes` the run that is to end for this one.
    """

    attempt: int
    offset: int
    cancelled: bool
    elapsed: float
    failures: int
    handovers: int
    waited: float = 0.0
    queue: str = keys.MAIN_QUEUE
    supersedes: str = ""

    @property
    def crashes(self) -> int:
        """Earlier attempts that ended without a word: their workers died, or lost the lease."""
        return max(0, self.attempt - 1 - self.failures - self.handovers)


@dataclass(frozen=True, slots=True)
class Closure:
    """How a run ends: its final state and, if it failed, the code of its error."""

    state: RunState
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Append:
    """One write: entries that follow one another, the first at offset `first`.

    With a `closure` the last entry must be `[DONE]`, and the run ends in the same step.
    """

    run_id: str
    attempt: int
    first: int
    entries: Sequence[bytes]
    closure: Closure | None = None


class EventStream(Protocol):
    """What Redis offers, and the in-memory twin of the tests: both pass one contract suite."""

    async def take_over(self, run_id: str) -> Takeover:
        """Become the run's only writer: raise the attempt, fence off the one before.

        Raises:
            StreamClosed: if the run has ended, or is no longer known.
        """
        ...

    async def append(self, *appends: Append) -> list[bool | Exception]:
        """Write to any number of logs in one round trip.

        For each append, whether a stop was requested for its run, or the error that kept it out:
        Fenced, StreamClosed or StreamGap.
        """
        ...

    async def read(self, run_id: str, after: Cursor = START) -> Page:
        """The entries after a cursor; fences are left out."""
        ...

    async def tail(self, run_id: str) -> Cursor:
        """The place after the last entry."""
        ...

    def shard(self, run_id: str) -> str:
        """Where the log is: appends to those of other lanes need not wait for it."""
        ...


class RedisEventStream:
    """`cluster` is the same as `redis`, where that is one."""

    def __init__(
        self,
        redis: Redis,
        *,
        live_ttl: float,
        retention: float,
        cluster: "ClusterClient | None" = None,
    ) -> None:
        self._redis = redis
        self._cluster = cluster
        self._append = scripts.append_sharded if cluster else scripts.append
        self._live_ttl_ms = int(live_ttl * 1000)
        self._retention_ms = int(retention * 1000)

    async def take_over(self, run_id: str) -> Takeover:
        nonce = secrets.token_hex(8)  # redis-py sends the command again where the reply was lost
        reply = await scripts.take_over(
            self._redis,
            stream=keys.stream(run_id),
            run=keys.run(run_id),
            ttl_ms=self._live_ttl_ms,
            nonce=nonce,
        )
        if not reply:
            raise StreamClosed
        attempt, offset, cancelled, elapsed_ms, failures, handovers, waited_ms, queue, other = reply
        return Takeover(
            attempt,
            offset,
            bool(cancelled),
            elapsed_ms / 1000,
            failures,
            handovers,
            waited_ms / 1000,
            queue.decode(),
            other.decode(),
        )

    async def append(self, *appends: Append) -> list[bool | Exception]:
        replies = await self._send(appends)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            replies = await self._send(appends, with_text=True)
        for reply in replies:
            error = as_unavailable(reply) if isinstance(reply, Exception) else None
            if isinstance(error, REDIS_UNAVAILABLE):
                raise error
        verdicts = [_verdict(reply) for reply in replies]
        if self._cluster is not None:
            written = [a for a, v in zip(appends, verdicts, strict=True) if isinstance(v, bool)]
            await self._publish_moving(self._cluster, written)
        return verdicts

    async def _send(self, appends: Sequence[Append], *, with_text: bool = False) -> list[object]:
        queue = self._append.queue_text if with_text else self._append.queue
        async with self._redis.pipeline(transaction=False) as pipe:
            for append in appends:
                closure = append.closure
                queue(
                    pipe,
                    stream=keys.stream(append.run_id),
                    run=keys.run(append.run_id),
                    attempt=append.attempt,
                    first=append.first,
                    ttl_ms=self._retention_ms if closure else self._live_ttl_ms,
                    final_state=closure.state if closure else "",
                    error_code=(closure.error or "") if closure else "",
                    entries=append.entries,
                )
            return await pipe.execute(raise_on_error=False)

    async def _publish_moving(self, cluster: "ClusterClient", appends: Sequence[Append]) -> None:
        """Tell where the followers are: a log on its way has published to nobody at its new node.

        What fails here is made good by the next subscription, which is a gap to them.
        """
        moving = [append for append in appends if cluster.is_moving(keys.stream(append.run_id))]
        if not moving:
            return
        async with cluster.pipeline(transaction=False) as pipe:
            for append in moving:
                numbered = enumerate(append.entries, start=append.first)
                lines = (b"%d-%d %b" % (append.attempt, offset, data) for offset, data in numbered)
                pipe.execute_command("SPUBLISH", keys.stream(append.run_id), b"\n".join(lines))
            await pipe.execute(raise_on_error=False)

    async def read(self, run_id: str, after: Cursor = START) -> Page:
        first = f"({after.attempt}-{after.offset}" if after.offset else "-"
        while True:
            raw: list[tuple[bytes, dict[bytes, bytes]]] = await self._redis.execute_command(
                "XRANGE", keys.stream(run_id), first, "+", "COUNT", PAGE
            )
            entries = [entry for entry in map(_entry, raw) if entry.offset > after.offset]
            more = len(raw) == PAGE
            if entries or not more:
                return Page(entries, more)
            # The cursor's attempt is older than its entry: the place is further on.
            first = f"({raw[-1][0].decode()}"

    async def tail(self, run_id: str) -> Cursor:
        newest: list[tuple[bytes, dict[bytes, bytes]]] = await self._redis.execute_command(
            "XREVRANGE", keys.stream(run_id), "+", "-", "COUNT", 1
        )
        if not newest:
            return START
        last = _entry(newest[0])
        return Cursor(last.attempt, last.offset or int(last.data))  # a fence says what it follows

    def shard(self, run_id: str) -> str:
        return str(self._cluster.owner(keys.stream(run_id))) if self._cluster else ""


async def read_all(stream: EventStream, run_id: str) -> list[Entry]:
    """Everything a log holds."""
    page = await stream.read(run_id)
    entries = page.entries
    while page.more and entries:
        page = await stream.read(run_id, entries[-1].cursor)
        entries += page.entries
    return entries


async def read_each(stream: EventStream, run_ids: Iterable[str]) -> list[Entry]:
    """Everything that several logs hold, one after the other."""
    return [entry for run_id in run_ids for entry in await read_all(stream, run_id)]


def _verdict(reply: object) -> bool | Exception:
    match reply:
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


def _entry(raw: tuple[bytes, Mapping[bytes, bytes]]) -> Entry:
    entry_id, fields = raw
    attempt, _, offset = entry_id.partition(b"-")
    return Entry(int(attempt), int(offset), fields[b"d"])
