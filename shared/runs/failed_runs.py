"""The runs that failed last, for whoever looks at the whole house."""

from contextlib import suppress

from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis, RedisError
from shared.redis.scripts import Key, redis_script

_KEPT = 200


class FailedRuns:
    """Their ids alone; the list lives as long as the runs do, `retention` seconds."""

    def __init__(self, redis: Redis, *, retention: float) -> None:
        self._redis = redis
        self._retention_ms = max(1, int(retention * 1000))

    async def add(self, run_id: str) -> None:
        """Remember a run that has failed. It has ended: whether this succeeds is no matter."""
        with suppress(*REDIS_UNAVAILABLE, RedisError):
            await _add(
                self._redis,
                failed_runs=keys.FAILED_RUNS,
                run_id=run_id,
                max_length=_KEPT,
                ttl_ms=self._retention_ms,
            )

    async def newest(self, count: int) -> list[str]:
        ids: list[bytes] = await self._redis.execute_command(
            "LRANGE", keys.FAILED_RUNS, 0, count - 1
        )
        return [run_id.decode() for run_id in ids]


@redis_script("""
redis.call('LPUSH', failed_runs, run_id)
redis.call('LTRIM', failed_runs, 0, max_length - 1)
redis.call('PEXPIRE', failed_runs, ttl_ms)
""")
def _add(*, failed_runs: Key, run_id: str, max_length: int, ttl_ms: int) -> None: ...
