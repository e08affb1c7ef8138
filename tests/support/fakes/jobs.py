"""Jobs without payloads in the main queue, and the depth of that queue."""

from shared.queue.queue_depth import QueueDepth, read_depths
from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms

_TTL_MS = 600_000


async def put_job(redis: Redis, job_id: str, *, due: int) -> None:
    """Add a job to the main queue, due in `due` milliseconds."""
    await redis.execute_command("ZADD", keys.QUEUE, await redis_time_ms(redis) + due, job_id)
    await redis.execute_command("PEXPIRE", keys.QUEUE, _TTL_MS)


async def lease_job(redis: Redis, job_id: str, worker_id: str = "worker-1") -> None:
    await redis.execute_command("SET", keys.lease(job_id), worker_id, "PX", 60_000)


async def main_depth(redis: Redis) -> QueueDepth:
    return (await read_depths(redis, [keys.MAIN_QUEUE]))[keys.MAIN_QUEUE]


async def use_queue(redis: Redis, name: str) -> None:
    """Add a job to a queue that no setting and no worker names."""
    now = await redis_time_ms(redis)
    await redis.execute_command("ZADD", keys.QUEUES, now, name)
    await redis.execute_command("ZADD", keys.queue(name), now - 60_000, "job")
    for key in (keys.QUEUES, keys.queue(name)):
        await redis.execute_command("PEXPIRE", key, 60_000)
