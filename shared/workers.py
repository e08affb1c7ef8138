"""Who works: each worker process renews its record, the API and operators' commands read them.

A worker that stops renewing is gone from the list when its time is over, whatever became of it.
"""

from pydantic import BaseModel, ConfigDict

from shared import keys
from shared.redis import Redis, Script

#: How long a worker counts as alive after its last renewal; it renews each third of it.
ALIVE_SECONDS = 6.0


class WorkerRecord(BaseModel):
    """A worker process as it last described itself. `started_at` is Unix milliseconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    host: str
    pid: int
    started_at: int
    queue: str
    #: The keys of the queues that it serves; empty of a worker that does not say.
    queues: tuple[str, ...] = ()
    #: Runs it works on, and how many it would take.
    running: int
    concurrency: int
    #: Takes nothing new: it is on its way out.
    draining: bool = False

    def serves(self, queue: str) -> bool:
        return queue in self.queues or not self.queues


class Workers:
    def __init__(self, redis: Redis, *, alive_seconds: float = ALIVE_SECONDS) -> None:
        self._redis = redis
        self._alive_ms = int(alive_seconds * 1000)

    async def renew(self, record: WorkerRecord) -> None:
        """Be alive, as described, for a while."""
        await _RENEW.run(
            self._redis,
            [keys.WORKERS, keys.worker_record(record.id)],
            [record.id, record.model_dump_json(), self._alive_ms],
        )

    async def remove(self, worker_id: str) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.execute_command("ZREM", keys.WORKERS, worker_id)
            pipe.execute_command("DEL", keys.worker_record(worker_id))
            await pipe.execute()

    async def alive(self) -> list[WorkerRecord]:
        """The records of all workers that are alive, the longest-serving first."""
        ids: list[bytes] = await _ALIVE.run(self._redis, [keys.WORKERS])
        if not ids:
            return []
        names = [keys.worker_record(worker_id.decode()) for worker_id in ids]
        found: list[bytes | None] = await self._redis.execute_command("MGET", *names)
        records = [WorkerRecord.model_validate_json(text) for text in found if text is not None]
        return sorted(records, key=lambda record: (record.started_at, record.id))


#: KEYS workers, record; ARGV worker, record, time to live. Scores are Redis' own time.
_RENEW = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
""")

_ALIVE = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')
""")
