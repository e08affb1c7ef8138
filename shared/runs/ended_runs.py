"""The runs that have ended, newest first, as long as they are retained. For operators."""

from contextlib import suppress
from typing import TypedDict, Unpack

from shared.limits.owner_bytes import OWNER_BYTES, RUN_BYTES
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis, RedisError
from shared.redis.scripts import Key, redis_script
from shared.streams.event_stream import StoredRun

_MAX_FAILED = 200


class EndedRunParameters(TypedDict):
    """The parameters of `ADD_ENDED_RUN`."""

    ended_runs: Key
    failed_runs: Key
    owner_bytes: Key
    owner_stored: Key
    webhook_runs: Key
    ended_run: str
    failed: int
    max_failed: int
    #: What the run occupies, if it is known.
    run_bytes: int
    retention_ms: int


#: Lua that adds a run. Requires OWNER_BYTES. Only runs that admission has counted are counted
#: again, and only those are reported by webhooks that admission has added.
ADD_ENDED_RUN = """
local ended_at = now_ms()
redis.call('ZADD', ended_runs, ended_at, ended_run)
redis.call('ZREMRANGEBYSCORE', ended_runs, '-inf', ended_at - retention_ms)
redis.call('PEXPIRE', ended_runs, retention_ms)
redis.call('ZADD', webhook_runs, 'XX', ended_at, ended_run)
if run_bytes > 0 and redis.call('HEXISTS', owner_bytes, ended_run) == 1 then
  set_bytes(owner_bytes, owner_stored, ended_run, run_bytes, ended_at + retention_ms)
  expire_with_runs(owner_bytes, owner_stored, ended_at)
end
if failed == 1 then
  redis.call('LPUSH', failed_runs, ended_run)
  redis.call('LTRIM', failed_runs, 0, max_failed - 1)
  redis.call('PEXPIRE', failed_runs, retention_ms)
end
"""


class EndedRuns:
    """Stores the ids of ended runs for `retention` seconds, like the runs themselves."""

    def __init__(self, redis: Redis, *, retention: float) -> None:
        self._redis = redis
        self._retention_ms = max(1, int(retention * 1000))

    async def add(self, run_id: str, *, failed: bool, stored: StoredRun | None = None) -> None:
        """Add a run, count what it occupies, and make its webhook due.

        Best effort: it has already ended.
        """
        with suppress(*REDIS_UNAVAILABLE, RedisError):
            await _add(self._redis, **self.parameters(run_id, failed=failed, stored=stored))

    def parameters(
        self, run_id: str, *, failed: bool, stored: StoredRun | None = None
    ) -> EndedRunParameters:
        """Return the parameters with which another script adds the run, like `add`."""
        owner = stored.owner if stored else ""
        return {
            "ended_runs": keys.ENDED_RUNS,
            "failed_runs": keys.FAILED_RUNS,
            "owner_bytes": keys.owner_bytes(owner),
            "owner_stored": keys.owner_stored(owner),
            "webhook_runs": keys.WEBHOOK_RUNS,
            "ended_run": run_id,
            "failed": int(failed),
            "max_failed": _MAX_FAILED,
            "run_bytes": RUN_BYTES + stored.stream_bytes if stored else 0,
            "retention_ms": self._retention_ms,
        }

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


@redis_script(OWNER_BYTES, ADD_ENDED_RUN, when_full=True)
def _add(**parameters: Unpack[EndedRunParameters]) -> None: ...
