"""The runs that failed last, for whoever looks at the whole house."""

from contextlib import suppress

from shared.redis import keys
from shared.redis.client import REDIS_AWAY, Redis, RedisError, RedisScript

_KEPT = 200


class FailedRuns:
    """Their ids alone; the list lives as long as the runs do, `retention` seconds."""

    def __init__(self, redis: Redis, *, retention: float) -> None:
        self._redis = redis
        self._retention_ms = max(1, int(retention * 1000))

    async def add(self, run_id: str) -> None:
        """Remember a run that has failed. It has ended: whether this succeeds is no matter."""
        with suppress(*REDIS_AWAY, RedisError):
            await _ADD.run(self._redis, [keys.FAILED_RUNS], [run_id, _KEPT, self._retention_ms])

    async def newest(self, count: int) -> list[str]:
        ids: list[bytes] = await self._redis.execute_command(
            "LRANGE", keys.FAILED_RUNS, 0, count - 1
        )
        return [run_id.decode() for run_id in ids]


#: KEYS failed; ARGV run, how many are kept, their time to live.
_ADD = RedisScript("""
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
""")
