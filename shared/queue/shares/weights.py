"""Applies changed weights to the jobs that are in the queues already."""

import asyncio
from collections.abc import Callable
from typing import Any

from shared.background_task import BackgroundTask
from shared.queue.fair_queue import FAIR_QUEUE
from shared.queue.queue_depth import queues_with_jobs
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Argument, Redis, RedisError
from shared.redis.scripts import Arguments, Key, redis_script
from shared.settings.live_settings import LiveSettings

#: About how many jobs one script call reads.
_BATCH = 500
_RETRY_SECONDS = 1.0

#: Returns the weight of an owner with this plan.
WeightOf = Callable[[str, str | None], float]


class WeightUpdater(BackgroundTask):
    """Applies `queue.weights` to all jobs when the process starts, and when the setting changes.

    Each process does so, because it has admitted runs with the old weights until then.
    """

    def __init__(self, redis: Redis, live: LiveSettings) -> None:
        self._redis = redis
        self._live = live
        self._changed = asyncio.Event()
        live.on_change(lambda _: self._changed.set())

    async def _run(self) -> None:
        applied = None
        while True:
            self._changed.clear()
            settings = self._live.now.queue
            if settings.weights != applied:
                try:
                    await apply_weights(self._redis, settings.weight_of)
                except (*REDIS_UNAVAILABLE, RedisError):
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                applied = settings.weights
            await self._changed.wait()


async def apply_weights(redis: Redis, weight_of: WeightOf) -> None:
    """Change the weights of all waiting, deferred, and running jobs that have another one."""
    for name in await queues_with_jobs(redis):
        queue, cursor = keys.queue(name), b"0"
        while True:
            cursor, *rows = await _read(redis, queue=queue, cursor=cursor, count=_BATCH)
            changed: list[Argument] = []
            for job_id, *weights, owner, plan in rows:
                new = weight_of(owner.decode(), plan.decode() or None)
                if any(new != float(weight) for weight in weights):
                    changed += (job_id, new)
            if changed:
                await _change(redis, queue=queue, weights=changed)
            if cursor == b"0":
                break


# Returns the next cursor, and a row for each job: its id, its weight, and the weight, the name, and
# the plan of its owner. The weight of a new run replaces only that of its owner. Jobs of an owner
# can have different plans: that of the newest waiting job applies. Titles and the jobs of older
# versions have no name.
@redis_script(
    FAIR_QUEUE,
    """
local found = redis.call('ZSCAN', queue, cursor, 'COUNT', count)
local reply = {found[1]}
for i = 1, #found[2], 2 do
  local id = found[2][i]
  local owner, weight, name, plan = unpack(
    redis.call('HMGET', fair_job_of(id), 'owner', 'weight', 'name', 'plan'))
  if name then
    local newest = redis.call('ZRANGE', jobs_of(owner), -1, -1)[1]
    plan = newest and redis.call('HGET', fair_job_of(newest), 'plan') or plan
    reply[#reply + 1] = {id, weight, redis.call('HGET', owner, 'weight') or weight, name, plan}
  end
end
return reply
""",
)
def _read(*, queue: Key, cursor: bytes, count: int) -> list[Any]: ...


# `weights` are the id and the weight of each job.
@redis_script(
    FAIR_QUEUE,
    """
for i = 1, #weights, 2 do
  local id, weight = weights[i], tonumber(weights[i + 1])
  local owner, old = unpack(redis.call('HMGET', fair_job_of(id), 'owner', 'weight'))
  if owner then
    redis.call('HSET', fair_job_of(id), 'weight', weight)
    set_weight(queue, owner, weight, old)
  end
end
""",
)
def _change(*, queue: Key, weights: Arguments) -> None: ...
