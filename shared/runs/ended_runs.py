"""The runs that have ended, newest first, as long as they are retained. For operators."""

from contextlib import suppress

from shared.limits.owner_bytes import OWNER_BYTES, RUN_BYTES
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis, RedisError
from shared.redis.scripts import Key, redis_script
from shared.streams.event_stream import StoredRun

_MAX_FAILED = 200


class EndedRuns:
    """Stores the ids of ended runs for `retention` seconds, like the runs themselves."""

    def __init__(self, redis: Redis, *, retention: float) -> None:
        self._redis = redis
        self._retention_ms = max(1, int(retention * 1000))

    async def add(self, run_id: str, *, failed: bool, stored: StoredRun | None = None) -> None:
        """Add a run, count what it occupies, and make its webhook due.

        Best effort: it has already ended.
        """
        owner = stored.owner if stored else ""
        with suppress(*REDIS_UNAVAILABLE, RedisError):
            await _add(
                self._redis,
                ended_runs=keys.ENDED_RUNS,
                failed_runs=keys.FAILED_RUNS,
                run_id=run_id,
                failed=int(failed),
                max_failed=_MAX_FAILED,
                owner_bytes=keys.owner_bytes(owner),
                owner_stored=keys.owner_stored(owner),
                webhook_runs=keys.WEBHOOK_RUNS,
                run_bytes=RUN_BYTES + stored.stream_bytes if stored else 0,
                ttl_ms=self._retention_ms,
            )

    async def newest_failed(self, count: int) -> list[str]:
        ids: list[bytes] = await self._redis.execute_command(
            "LRANGE", keys.FAILED_RUNS, 0, count - 1
        )
        return [run_id.decode(errors="replace") for run_id in ids]

    async def page(self, start: int, count: int, *, since: int = 0) -> list[str]:
        """Return runs that ended at or after `since` (Unix ms), newest first, from a position."""
        ids: list[bytes] = await self._redis.execute_command(
            *("ZRANGE", keys.ENDED_RUNS, "+inf", since, "BYSCORE", "REV", "LIMIT", start, count)
        )
        return [run_id.decode(errors="replace") for run_id in ids]


# Only runs that admission has counted are counted again, and only those are reported by webhooks
# that admission has added.
@redis_script(
    OWNER_BYTES,
    """
local now = now_ms()
redis.call('ZADD', ended_runs, now, run_id)
redis.call('ZREMRANGEBYSCORE', ended_runs, '-inf', now - ttl_ms)
redis.call('PEXPIRE', ended_runs, ttl_ms)
redis.call('ZADD', webhook_runs, 'XX', now, run_id)
if run_bytes > 0 and redis.call('HEXISTS', owner_bytes, run_id) == 1 then
  set_bytes(owner_bytes, owner_stored, run_id, run_bytes, now + ttl_ms)
  expire_with_runs(owner_bytes, owner_stored, now)
end
if failed == 0 then return end
redis.call('LPUSH', failed_runs, run_id)
redis.call('LTRIM', failed_runs, 0, max_failed - 1)
redis.call('PEXPIRE', failed_runs, ttl_ms)
""",
    when_full=True,
)
def _add(
    *,
    ended_runs: Key,
    failed_runs: Key,
    owner_bytes: Key,
    owner_stored: Key,
    webhook_runs: Key,
    run_id: str,
    failed: int,
    max_failed: int,
    run_bytes: int,
    ttl_ms: int,
) -> None: ...
