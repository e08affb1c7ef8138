"""Jobs without payloads in the main queue, and the depth of that queue."""

from shared.queue.queue_depth import QueueDepth, read_depths
from shared.redis import keys
from shared.redis.client import Redis

_TTL_MS = 600_000


async def put_job(redis: Redis, job_id: str, *, due: int) -> None:
    """Add a job to the main queue, due in `due` milliseconds."""
    seconds, micros = await redis.execute_command("TIME")
    now = int(seconds) * 1000 + int(micros) // 1000
    await redis.execute_command("ZADD", keys.QUEUE, now + due, job_id)
    await redis.execute_command("PEXPIRE", keys.QUEUE, _TTL_MS)


async def lease_job(redis: Redis, job_id: str, worker_id: str = "worker-1") -> None:
    await redis.execute_command("SET", keys.lease(job_id), worker_id, "PX", 60_000)


async def main_depth(redis: Redis) -> QueueDepth:
    return (await read_depths(redis, [keys.MAIN_QUEUE]))[keys.MAIN_QUEUE]
