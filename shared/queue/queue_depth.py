"""The queues that have jobs, and the number of waiting, running, and deferred jobs in a queue."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.queue.fair_queue import FAIR_QUEUE
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Key, Keys, redis_script

#: How many of the jobs that are not due yet are checked for a lease.
_MAX_LEASES_CHECKED = 1000
#: How many of the queues that were used last are checked for jobs.
_MAX_QUEUES = 200


class QueueDepth(NamedTuple):
    """The jobs of a queue that wait for a worker, that workers hold, and that are not due yet."""

    waiting: int
    running: int
    deferred: int
    #: How long ago the oldest waiting job became due; 0 if none waits.
    oldest_wait_ms: int
    #: Mean duration of recent jobs; None if none has ended recently.
    mean_run_ms: int | None = None


async def queues_with_jobs(redis: Redis) -> list[str]:
    """Return the names of the queues that have jobs, whether or not a worker serves them.

    A name that is not valid UTF-8 is left out: no setting can have written it.
    """
    names = await _with_jobs(
        redis, names=keys.QUEUES, main=keys.QUEUE, key_prefix=keys.queue(""), limit=_MAX_QUEUES
    )
    return sorted(name.decode() for name in names if _is_text(name))


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


async def read_depths(redis: Redis, queues: Sequence[str]) -> dict[str, QueueDepth]:
    """Return the depth of each queue, by its name, in one round trip and O(log n).

    Of the jobs that are not due, only the last 1,000 can count as deferred. All others count as
    running.
    """
    reply = await _read(
        redis,
        queues=[keys.queue(queue) for queue in queues],
        lease_prefix=keys.lease(""),
        max_leases=_MAX_LEASES_CHECKED,
    )
    return {name: QueueDepth(*depth) for name, depth in zip(queues, reply, strict=True)}


# Admission records the name of a queue with each run.
@redis_script("""
local found = {}
for _, name in ipairs(redis.call('ZREVRANGE', names, 0, limit - 1)) do
  local queue = name == 'main' and main or key_prefix .. name
  if redis.call('EXISTS', queue) == 1 then found[#found + 1] = name end
end
return found
""")
def _with_jobs(*, names: Key, main: Key, key_prefix: str, limit: int) -> list[bytes]: ...


# The score of a waiting job is not later than now. A lease moves it a few seconds into the future,
# so deferred jobs are behind the leased ones.
@redis_script(
    FAIR_QUEUE,
    """
local now = now_ms()
local function depth(queue)
  local waiting = redis.call('ZCOUNT', queue, '-inf', now)
  local later = redis.call('ZCARD', queue) - waiting
  local wait = 0
  if waiting > 0 then wait = now - oldest_due(queue, now) end
  local mean = number_in(clock_of(queue), 'cost')
  if mean then mean = math.ceil(mean * 1000) end
  if later == 0 then return {waiting, 0, 0, wait, mean} end
  local leases = redis.call('ZRANGE', queue, -math.min(later, max_leases), -1)
  for i, id in ipairs(leases) do leases[i] = lease_prefix .. id end
  local deferred = #leases - redis.call('EXISTS', unpack(leases))
  return {waiting, later - deferred, deferred, wait, mean}
end
local depths = {}
for i, queue in ipairs(queues) do depths[i] = depth(queue) end
return depths
""",
)
def _read(*, queues: Keys, lease_prefix: str, max_leases: int) -> list[list[int]]: ...
