"""Workers that stopped without shutting down: killed, out of memory, or hung for too long.

One process of the deployment at a time observes the registry. Each worker that vanishes is counted
once, whichever process observes it, and the count survives all of them.
"""

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.processes.registry import ALIVE_SECONDS, KEPT_MS
from shared.processes.workers import QueueNames, WorkerRecord, WorkerRegistry
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.numbers import whole_number
from shared.redis.scripts import Key, redis_script

#: A worker that is this much overdue has vanished. It covers a late renewal.
_OVERDUE_MS = 4_000
#: After a longer time without an observation, Redis or all observers were down. Workers then get
#: `_GRACE_MS` to renew their records.
_MAX_GAP_MS = 7_500
_GRACE_MS = 10_000
#: How many vanished workers are kept, and for how long their number is.
_MAX_KEPT = 100
_COUNT_TTL_MS = 7 * 24 * 3_600_000


class VanishedWorker(BaseModel):
    """A worker that vanished. `seen_at` is the time of its last heartbeat in Unix milliseconds."""

    model_config = ConfigDict(frozen=True)

    id: str
    seen_at: int
    host: str = ""
    pid: int = 0
    #: Runs in progress at its last heartbeat.
    running: int = 0
    #: The queues that it served.
    queues: QueueNames = ()


class VanishedWorkers:
    """Detects workers that vanish, and counts each of them once."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def observe(self) -> list[VanishedWorker]:
        """Record the workers that have vanished since the last call of any process."""
        rows = await _observe(
            self._redis,
            members=keys.WORKERS,
            vanished=keys.VANISHED_WORKERS,
            watch=keys.WORKER_WATCH,
            record_format=WorkerRegistry(self._redis).key("%s"),
            alive_ms=int(ALIVE_SECONDS * 1000),
            overdue_ms=_OVERDUE_MS,
            max_gap_ms=_MAX_GAP_MS,
            grace_ms=_GRACE_MS,
            max_kept=_MAX_KEPT,
            kept_ms=KEPT_MS,
            count_ttl_ms=_COUNT_TTL_MS,
        )
        return [_vanished(*row) for row in rows]

    async def newest(
        self, count: int, *, since: int = 0, alive: Iterable[str] = ()
    ) -> list[VanishedWorker]:
        """Return the workers found to have vanished since a time in Unix ms, newest first.

        Leaves out those that are `alive` again: they hung, or could not reach Redis.
        """
        rows: list[tuple[bytes, Mapping[bytes, bytes]]] = await self._redis.execute_command(
            "XREVRANGE", keys.VANISHED_WORKERS, "+", since, "COUNT", _MAX_KEPT
        )
        known = set(alive)
        found: list[VanishedWorker] = []
        for _, fields in rows:
            worker = _vanished(
                fields.get(b"id", b""), fields.get(b"seen_at", b""), fields.get(b"record", b"")
            )
            if worker.id not in known:
                known.add(worker.id)
                found.append(worker)
        return found[:count]

    async def total(self) -> int:
        """Return how many workers have vanished."""
        count: bytes | None = await self._redis.execute_command(
            "HGET", keys.WORKER_WATCH, "vanished"
        )
        return whole_number(count) or 0


def _vanished(worker_id: bytes, seen_at: bytes, text: bytes) -> VanishedWorker:
    name = worker_id.decode(errors="replace")
    try:
        record = WorkerRecord.model_validate_json(text)
    except ValidationError:  # it has expired, or is of another version
        return VanishedWorker(id=name, seen_at=whole_number(seen_at) or 0)
    return VanishedWorker(
        id=name,
        seen_at=whole_number(seen_at) or 0,
        host=record.host,
        pid=record.pid,
        running=record.running,
        queues=record.queues,
    )


# Returns the id, the time of the last heartbeat and the record of each worker that has vanished.
@redis_script("""
local now = now_ms()
local since, last = unpack(redis.call('HMGET', watch, 'since', 'last'))
since = tonumber(since) or now
if math.abs(now - (tonumber(last) or 0)) > max_gap_ms then since = now end
redis.call('HSET', watch, 'since', string.format('%d', since), 'last', string.format('%d', now))
redis.call('PEXPIRE', watch, count_ttl_ms)
if now - since < grace_ms then return {} end
local overdue = redis.call('ZRANGEBYSCORE', members, '-inf', now - overdue_ms, 'WITHSCORES')
local gone = {}
for i = 1, #overdue, 2 do
  local id, seen_at = overdue[i], string.format('%d', overdue[i + 1] - alive_ms)
  local record = redis.call('GET', string.format(record_format, id)) or ''
  redis.call('ZREM', members, id)
  redis.call('XADD', vanished, 'MAXLEN', '=', max_kept, '*',
    'id', id, 'seen_at', seen_at, 'record', record)
  gone[#gone + 1] = {id, seen_at, record}
end
if #gone > 0 then
  redis.call('PEXPIRE', vanished, kept_ms)
  redis.call('HINCRBY', watch, 'vanished', #gone)
end
return gone
""")
def _observe(
    *,
    members: Key,
    vanished: Key,
    watch: Key,
    record_format: str,
    alive_ms: int,
    overdue_ms: int,
    max_gap_ms: int,
    grace_ms: int,
    max_kept: int,
    kept_ms: int,
    count_ttl_ms: int,
) -> list[tuple[bytes, bytes, bytes]]: ...
