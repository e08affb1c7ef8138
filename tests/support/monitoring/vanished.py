"""Workers that were killed."""

from shared.processes.workers import WorkerRegistry
from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from tests.support.fakes.workers import record


async def leave_as_killed(
    redis: Redis, worker_id: str, *, running: int = 0, ago_ms: int = 20_000
) -> None:
    """Leave the registry as a worker does whose last heartbeat was `ago_ms` ago."""
    await WorkerRegistry(redis).renew(record(worker_id, running=running))
    expiry = await redis_time_ms(redis) - ago_ms + 6000
    await redis.execute_command("ZADD", keys.WORKERS, expiry, worker_id)


async def observe_for_a_minute(redis: Redis) -> None:
    """Make the workers observed for a minute without interruption."""
    now = await redis_time_ms(redis)
    await redis.execute_command("HSET", keys.WORKER_WATCH, "since", now - 60_000, "last", now)
    await redis.execute_command("PEXPIRE", keys.WORKER_WATCH, 60_000)
