"""The live runs: waiting, running, or deferred.

The queues are the index of live runs: a run's job stays in its queue from admission to its end.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

from shared.queue.fair_queue import FAIR_QUEUE
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Keys, redis_script
from shared.runs.run import Run
from shared.runs.store import RunStore

LiveState = Literal["waiting", "running", "deferred"]


class LiveRun(NamedTuple):
    run: Run
    #: Id of the worker that holds the lease.
    worker: str | None
    #: Due time of the job in Unix milliseconds, by Redis's clock. A waiting run's is in the past.
    due_at: int
    state: LiveState


class LiveRuns:
    """Reads the live runs of queues."""

    def __init__(self, redis: Redis, runs: RunStore) -> None:
        self._redis = redis
        self._runs = runs

    async def read(self, queues: Sequence[str], count: int) -> list[LiveRun]:
        """Return at most `count` live runs of these queues: waiting ones in the order of claims.

        Half are waiting runs and half are running or deferred, if there are enough of both.
        """
        reply = await _find(
            self._redis,
            queues=[keys.queue(queue) for queue in queues],
            count=count,
            lease_prefix=keys.lease(""),
        )
        found = [[field.decode(errors="replace") for field in row] for row in reply]
        runs = await self._runs.get_many([job for job, *_ in found])
        return [
            LiveRun(runs[job], worker or None, int(due), cast("LiveState", state))
            for job, due, worker, state in found
            if job in runs
        ]


# Returns rows of all queues: job id, due time, worker id or '', state. Jobs that wait in fair order
# come after those that are due by their time, and before all others.
@redis_script(
    FAIR_QUEUE,
    """
local now = now_ms()
local function describe(queue, id, score)
  local due = redis.call('ZSCORE', due_times_of(queue, 0), id)
    or redis.call('ZSCORE', due_times_of(queue, first_background), id)
  due = tonumber(due) or score
  local worker = redis.call('GET', lease_prefix .. id) or ''
  local state = worker ~= '' and 'running' or due <= now and 'waiting' or 'deferred'
  return {id, string.format('%.0f', due), worker, state}
end
local function first(from, to)
  local jobs = {}
  for _, queue in ipairs(queues) do
    local found = redis.call('ZRANGEBYSCORE', queue, from, to, 'WITHSCORES', 'LIMIT', 0, count)
    for i = 1, #found, 2 do jobs[#jobs + 1] = {queue, found[i], tonumber(found[i + 1])} end
  end
  table.sort(jobs, function(a, b) return a[3] < b[3] end)
  return jobs
end
local waiting = first(first_real, now)
for _, job in ipairs(first('-inf', '(' .. first_real)) do waiting[#waiting + 1] = job end
local later = first('(' .. string.format('%.0f', now), '+inf')
local waiting_count = math.min(#waiting, math.max(math.floor(count / 2), count - #later))
local rows = {}
local function add(jobs, limit)
  for i = 1, math.min(#jobs, limit) do rows[#rows + 1] = describe(unpack(jobs[i])) end
end
add(waiting, waiting_count)
add(later, count - waiting_count)
return rows
""",
)
def _find(*, queues: Keys, count: int, lease_prefix: str) -> list[list[bytes]]: ...
