"""The queues that have jobs, and the number of waiting, running, and deferred jobs in a queue."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.queue.announced_waits import JOB_KINDS
from shared.queue.fair_queue import FAIR_QUEUE
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Arguments, Key, Keys, redis_script

#: How many of the jobs that are not due yet are checked for a lease: all, or those around the rank
#: from which on jobs are deferred.
_MAX_LEASES_CHECKED = 1000
#: How many of the queues that were used last are checked for jobs.
_MAX_QUEUES = 200


class QueueDepth(NamedTuple):
    """The jobs of a queue that wait for a worker, that workers hold, and that are not due yet.

    Background jobs count as waiting too.
    """

    waiting: int
    running: int
    deferred: int
    #: How long ago the oldest waiting interactive job became due; 0 if none waits.
    oldest_wait_ms: int
    #: Mean duration of recent jobs; None if too few have ended recently.
    mean_run_ms: int | None = None
    #: How many of the waiting jobs are background jobs.
    background: int = 0
    #: How many of the waiting jobs have not started, so that a pause of the processing holds them.
    unstarted: int = 0
    #: The margins of the queue's announced waits in percent, in the order of `JOB_KINDS`; None for
    #: kinds of jobs that have the default one.
    margins: tuple[int | None, ...] = (None,) * len(JOB_KINDS)


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
    """Return the depth of each queue, by its name, in one round trip and O(log n)."""
    reply = await _read(
        redis,
        queues=[keys.queue(queue) for queue in queues],
        lease_prefix=keys.lease(""),
        max_leases=_MAX_LEASES_CHECKED,
        margin_fields=[f"{kind}_margin" for kind in JOB_KINDS],
    )
    return {name: _depth(*row) for name, row in zip(queues, reply, strict=True)}


#: The counts of a queue, the mean duration of its jobs, and its margins.
_Row = tuple[list[int], int | None, list[int | None]]


def _depth(counts: list[int], mean_run_ms: int | None, margins: Sequence[int | None]) -> QueueDepth:
    waiting, running, deferred, oldest_wait_ms, background, unstarted = counts
    return QueueDepth(
        waiting=waiting,
        running=running,
        deferred=deferred,
        oldest_wait_ms=oldest_wait_ms,
        mean_run_ms=mean_run_ms,
        background=background,
        unstarted=unstarted,
        margins=tuple(margins),
    )


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
# so deferred jobs are behind the leased ones. If there are many, a binary search over the ranks
# finds where the leased ones end. It checks 16 jobs at a time, because single jobs are deferred for
# less time than a lease.
@redis_script(
    FAIR_QUEUE,
    """
local now = now_ms()
local function count_leased(queue, first, last)
  local leases = redis.call('ZRANGE', queue, first, last)
  for i, id in ipairs(leases) do leases[i] = lease_prefix .. id end
  return #leases == 0 and 0 or redis.call('EXISTS', unpack(leases))
end
local function count_deferred(queue, first, count)
  local last = count
  while last - first > max_leases do
    local middle = math.floor((first + last) / 2)
    if count_leased(queue, middle, middle + 15) > 0 then first = middle else last = middle end
  end
  return count - first - count_leased(queue, first, last - 1)
end
-- The first jobs that end are the shortest ones. Until many have ended, the time that the running
-- ones have taken so far counts too, and there is no mean before some have ended.
local function mean_seconds(queue, waiting, running)
  local mean, ended = number_in(clock_of(queue), 'cost'), number_in(clock_of(queue), 'ended')
  if not mean or not ended or ended >= 4 * running then return mean end
  if ended < math.min(40, running / 3) then return end
  local taken, known = 0, 0
  for _, id in ipairs(redis.call('ZRANGE', queue, waiting, waiting + math.min(running, 100) - 1)) do
    local started = number_in(fair_job_of(id), 'started')
    if started then taken, known = taken + now - started, known + 1 end
  end
  return known == 0 and mean or mean + taken / 1000 * running / known / ended
end
local function depth(queue)
  local waiting = redis.call('ZCOUNT', queue, '-inf', now)
  local count = redis.call('ZCARD', queue)
  local later = count - waiting
  local background = redis.call('ZCOUNT', queue, first_background, '(' .. first_real)
  local unstarted = redis.call('ZCOUNT', queue, '-inf', '(' .. first_real)
  local wait = 0
  if waiting > 0 then wait = now - oldest_due(queue, now) end
  local deferred = count_deferred(queue, waiting, count)
  local mean = mean_seconds(queue, waiting, later - deferred)
  local margins = redis.call('HMGET', clock_of(queue), unpack(margin_fields))
  for i, margin in ipairs(margins) do margins[i] = margin and math.ceil(margin * 100) end
  return {
    {waiting, later - deferred, deferred, wait, background, unstarted},
    mean and math.ceil(mean * 1000) or false,
    margins,
  }
end
local depths = {}
for i, queue in ipairs(queues) do depths[i] = depth(queue) end
return depths
""",
)
def _read(
    *, queues: Keys, lease_prefix: str, max_leases: int, margin_fields: Arguments
) -> list[_Row]: ...
