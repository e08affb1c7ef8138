"""The runs that are being made, or wait for it.

The queues are their index: a run's job stands in its queue from the admission to the end, leased or
not. Nothing else has to be kept in step with them.
"""

from typing import NamedTuple

from shared import keys
from shared.redis import Redis, Script
from shared.runs import Run, RunStore


class LiveRun(NamedTuple):
    run: Run
    #: The id of the worker that has it.
    worker: str | None
    #: When its job is due; past: it waits. Unix milliseconds, by Redis' clock.
    due_at: int


class LiveRuns:
    def __init__(self, redis: Redis, *, live_ttl: float) -> None:
        self._redis = redis
        self._runs = RunStore(redis, live_ttl=live_ttl)

    async def first(self, queue: str, count: int) -> list[LiveRun]:
        """Those of a queue that are due first, `count` at most."""
        names, args = [keys.queue(queue)], [count, keys.lease("")]
        found: list[list[bytes]] = await _FIRST.run(self._redis, names, args)
        rows = [(job.decode(), worker.decode(), int(due)) for job, due, worker in found]
        runs = [(await self._runs.get(job), worker, due) for job, worker, due in rows]
        return [LiveRun(run, worker or None, due) for run, worker, due in runs if run is not None]


#: KEYS queue; ARGV count, lease key prefix. Triples of job, due time and its worker's id or ''.
_FIRST = Script("""
local jobs = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1, 'WITHSCORES')
local found = {}
for i = 1, #jobs, 2 do
  local worker = redis.call('GET', ARGV[2] .. jobs[i]) or ''
  found[#found + 1] = {jobs[i], string.format('%.0f', jobs[i + 1]), worker}
end
return found
""")
