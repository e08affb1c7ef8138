"""How much stands in the queue, and for how long."""

from typing import NamedTuple

from shared.redis import keys
from shared.redis.client import Redis, RedisScript


class Backlog(NamedTuple):
    """Jobs that are due and that no worker has taken, and those that are leased or in a pause."""

    waiting: int
    taken: int
    #: Since when the oldest waiting job has been due; 0 where none waits.
    oldest_ms: int


async def read_backlog(redis: Redis, queue: str = keys.QUEUE) -> Backlog:
    """In O(log n), whatever the queue holds."""
    waiting, total, oldest_ms = await _READ.run(redis, [queue])
    return Backlog(waiting, total - waiting, oldest_ms)


#: A job's score is its due time. A lease pushes it into the future.
_READ = RedisScript("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local waiting = redis.call('ZCOUNT', KEYS[1], '-inf', now)
local oldest = 0
if waiting > 0 then
  oldest = now - tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2])
end
return {waiting, redis.call('ZCARD', KEYS[1]), oldest}
""")
