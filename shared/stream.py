"""The event stream: one append-only log a run, the only truth of what was said.

An entry is one event. Its id is `<attempt>-<offset>`: the offset counts from 1 without a hole over
the whole run; the attempt is the fence. Who takes a run over raises the attempt and appends the
fence `<attempt>-0`; from then on the log refuses the old writer, for ever. Appending the same
entries again changes nothing. The last entry of an ended run is `[DONE]`, and closure is final.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from shared import keys
from shared.errors import Fenced, StreamClosed, StreamGap
from shared.events import DONE
from shared.redis import REDIS_AWAY, NoScriptError, Redis, Script, away
from shared.runs import RunState

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
    run's admission to its first start, `queue` the name of the queue that it waited in.
    """

    attempt: int
    offset: int
    cancelled: bool
    elapsed: float
    failures: int
    handovers: int
    waited: float = 0.0
    queue: str = keys.MAIN_QUEUE

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


class RedisEventStream:
    def __init__(self, redis: Redis, *, live_ttl: float, retention: float) -> None:
        self._redis = redis
        self._live_ttl = str(int(live_ttl * 1000))
        self._retention = str(int(retention * 1000))

    async def take_over(self, run_id: str) -> Takeover:
        nonce = secrets.token_hex(8)  # redis-py sends the command again where the reply was lost
        reply: tuple[int, int, int, int, int, int, int, bytes] | None = await _TAKE_OVER.run(
            self._redis, [keys.stream(run_id), keys.run(run_id)], [self._live_ttl, nonce]
        )
        if not reply:
            raise StreamClosed
        attempt, offset, cancelled, elapsed_ms, failures, handovers, waited_ms, queue = reply
        return Takeover(
            attempt,
            offset,
            bool(cancelled),
            elapsed_ms / 1000,
            failures,
            handovers,
            waited_ms / 1000,
            queue.decode(),
        )

    async def append(self, *appends: Append) -> list[bool | Exception]:
        replies = await self._send(appends)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            await _APPEND.load(self._redis)
            replies = await self._send(appends)
        for reply in replies:
            if isinstance(reply, Exception) and isinstance(error := away(reply), REDIS_AWAY):
                raise error
        return [_verdict(reply) for reply in replies]

    async def _send(self, appends: Sequence[Append]) -> list[object]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for append in appends:
                names = [keys.stream(append.run_id), keys.run(append.run_id)]
                _APPEND.queue(pipe, names, self._append_args(append))
            return await pipe.execute(raise_on_error=False)

    def _append_args(self, append: Append) -> list[str | int | bytes]:
        closure = append.closure
        return [
            append.attempt,
            append.first,
            self._retention if closure else self._live_ttl,
            closure.state if closure else "",
            (closure.error or "") if closure else "",
            *append.entries,
        ]

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


#: `tail` returns the log's attempt, its last offset and whether it is closed. A fence, whose own
#: offset is 0, carries the offset that it follows.
_TAIL = """
local function tail(log)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if not last then return 0, 0, false end
  local attempt, offset = string.match(last[1], '(%d+)-(%d+)')
  if offset == '0' then offset = last[2][2] end
  return tonumber(attempt), tonumber(offset), last[2][2] == '[DONE]'
end
local function count(run, field)
  return tonumber(redis.call('HGET', run, field) or '0')
end
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

#: KEYS log, run; ARGV attempt, first offset, TTL, state to end in or '', error or '', entries.
#: Publishes what is new as lines `<id> <event>` on the channel named as the log.
_APPEND = Script(
    _TAIL
    + """
local attempt, first = tonumber(ARGV[1]), tonumber(ARGV[2])
local at, offset, closed = tail(KEYS[1])
if at > attempt then return 'fenced' end
if at < attempt or first > offset + 1 then return 'gap' end
local head = 6
if closed and first + #ARGV - head > offset then return 'closed' end
local lines = {}
for i = offset + 1 - first + head, #ARGV do
  local id = attempt .. '-' .. string.format('%d', first + i - head)
  redis.call('XADD', KEYS[1], id, 'd', ARGV[i])
  lines[#lines + 1] = id .. ' ' .. ARGV[i]
end
local cancelled = count(KEYS[2], 'cancel') > 0 and 1 or 0
if #lines == 0 then return cancelled end
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[2], 'state', ARGV[4], 'ended_at', string.format('%d', now()))
  if ARGV[5] ~= '' then redis.call('HSET', KEYS[2], 'error', ARGV[5]) end
  local ended = redis.call('HMGET', KEYS[2], 'live_runs', 'id')
  if ended[1] then redis.call('ZREM', ended[1], ended[2]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('PUBLISH', KEYS[1], table.concat(lines, '\\n'))
return cancelled
"""
)

#: KEYS log, run; ARGV TTL, nonce. Nothing if the run has ended or is unknown. Called again with the
#: same nonce, it is the same attempt.
_TAKE_OVER = Script(
    _TAIL
    + """
local state = redis.call('HGET', KEYS[2], 'state')
if state ~= 'queued' and state ~= 'running' then return false end
local _, offset = tail(KEYS[1])
local attempt = count(KEYS[2], 'attempts')
local time = now()
if redis.call('HGET', KEYS[2], 'taken_by') ~= ARGV[2] then
  attempt = redis.call('HINCRBY', KEYS[2], 'attempts', 1)
  redis.call('XADD', KEYS[1], attempt .. '-0', 'd', string.format('%d', offset))
  redis.call('HSET', KEYS[2], 'state', 'running', 'taken_by', ARGV[2])
end
redis.call('HSETNX', KEYS[2], 'started_at', string.format('%d', time))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
local started = count(KEYS[2], 'started_at')
local let_in = redis.call('HGET', KEYS[2], 'let_in_at') or started
return {attempt, offset, count(KEYS[2], 'cancel'), time - started,
  count(KEYS[2], 'failures'), count(KEYS[2], 'handovers'), started - let_in,
  redis.call('HGET', KEYS[2], 'queue')}
"""
)
