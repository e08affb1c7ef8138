"""The owners with the most waiting runs, and the number of their running ones.

Owners compete in each queue and class separately, so an owner has one entry for each of them.
"""

from typing import Any, NamedTuple

from shared.queue.fair_queue import FAIR_QUEUE
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Key, redis_script

#: How many of the leased jobs of a queue count as running.
_MAX_RUNNING = 1000


class OwnerJobs(NamedTuple):
    """The jobs of an owner in a queue and a class."""

    queue: str
    #: One of the jobs: the first waiting one, or a running one.
    job_id: str
    waiting: int
    running: int
    #: How long ago the first waiting job became due; 0 if none waits.
    oldest_wait_ms: int
    #: Weight of the owner.
    weight: float
    background: bool


class OwnersOfQueue(NamedTuple):
    """The owners with the most waiting jobs, then those with the most running ones."""

    owners: list[OwnerJobs]
    #: The number of all owners with waiting jobs.
    waiting: int


async def read_owners(redis: Redis, queue: str, limit: int) -> OwnersOfQueue:
    """Return at most `limit` owners of a queue.

    Reads O(`limit`) owners, and at most 1,000 running jobs: the others do not count.
    """
    total, *rows = await _read(
        redis, queue=keys.queue(queue), limit=limit, max_running=_MAX_RUNNING
    )
    owners = [
        OwnerJobs(
            queue,
            job_id.decode(errors="replace"),
            int(waiting),
            int(running),
            int(wait),
            float(weight),
            background == 1,
        )
        for job_id, waiting, running, wait, weight, background in rows
    ]
    return OwnersOfQueue(owners, total)


# Returns the number of owners with waiting jobs, and a row for each owner: the id of one job, the
# numbers of waiting and running jobs, the oldest wait, the weight, and 1 for background jobs.
@redis_script(
    FAIR_QUEUE,
    """
local now = now_ms()
local running, running_job, running_owners = {}, {}, {}
local held = redis.call('ZRANGEBYSCORE', queue, '(' .. now, '+inf', 'LIMIT', 0, max_running)
for _, id in ipairs(held) do
  local owner, started = unpack(redis.call('HMGET', fair_job_of(id), 'owner', 'started'))
  if owner and started then
    if not running[owner] then running_owners[#running_owners + 1] = owner end
    running[owner], running_job[owner] = (running[owner] or 0) + 1, id
  end
end
table.sort(running_owners, function(a, b) return running[a] > running[b] end)
local rows, added = {redis.call('ZCARD', owners_of(queue))}, {}
local function add(owner)
  if added[owner] or #rows > limit then return end
  place_first(queue, owner)  -- removes jobs that have left the queue
  recount(queue, owner)
  local first = redis.call('ZRANGE', jobs_of(owner), 0, 0)[1]
  local id = first or running_job[owner]
  if not id then return end
  local due_times = due_times_of(queue, class_of(owner))
  local due = first and tonumber(redis.call('ZSCORE', due_times, first)) or now
  added[owner], rows[#rows + 1] = true, {
    id, redis.call('ZCARD', jobs_of(owner)), running[owner] or 0, math.max(0, now - due),
    redis.call('HGET', owner, 'weight') or redis.call('HGET', fair_job_of(id), 'weight') or '1',
    class_of(owner) == 0 and 0 or 1,
  }
end
for _, owner in ipairs(redis.call('ZREVRANGE', owners_of(queue), 0, limit - 1)) do add(owner) end
for _, owner in ipairs(running_owners) do add(owner) end
return rows
""",
)
def _read(*, queue: Key, limit: int, max_running: int) -> list[Any]: ...
