"""The most recently failed runs, for operators."""

from contextlib import suppress

from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis, RedisError
from shared.redis.scripts import Key, redis_script

_MAX_RUNS = 200


class FailedRuns:
    """Stores run ids. The list is retained as long as the runs, `retention` seconds."""

    def __init__(self, redis: Redis, *, retention: float) -> None:
        self._redis = redis
        self._retention_ms = max(1, int(retention * 1000))

    async def add(self, run_id: str) -> None:
        """Add a failed run. Best effort: the run has already ended."""
        with suppress(*REDIS_UNAVAILABLE, RedisError):
            await _add(
                self._redis,
                failed_runs=keys.FAILED_RUNS,
                run_id=run_id,
                max_length=_MAX_RUNS,
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
