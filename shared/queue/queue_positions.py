"""The positions of jobs among those that wait for a worker, or for the live run of their chat."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shared.queue.announced_waits import record_announced_waits
from shared.queue.chat_queue import CHAT_QUEUE
from shared.queue.pauses import IS_PAUSED
from shared.queue.wait_forecast import WaitForecast, read_forecast
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Arguments, Key, redis_script

#: How many jobs one script call looks up. A call takes about a millisecond.
_BATCH = 1000


class QueuePosition(NamedTuple):
    """The position of a job, counted from 1, and how many jobs wait in the same queue.

    `behind_chat`: it is in the queue of its chat, and waits for the chat's live run.
    `eta_seconds`: the shortest and longest likely wait, if it can be estimated.
    `paused`: workers do not start the waiting jobs of this queue for the moment.
    """

    position: int
    waiting: int
    behind_chat: bool = False
    eta_seconds: tuple[int, int] | None = None
    paused: bool = False


class QueuePositions:
    """Reads the positions of jobs."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(
        self, run_ids: Sequence[str], *, queue: str = keys.MAIN_QUEUE
    ) -> list[QueuePosition | None]:
        """Return the position of each job; None for those that do not wait."""
        if not run_ids:
            return []
        forecast = await read_forecast(self._redis, queue)
        found: list[QueuePosition | None] = []
        for start in range(0, len(run_ids), _BATCH):
            batch = run_ids[start : start + _BATCH]
            rows = await _read(self._redis, queue=keys.queue(queue), job_ids=batch)
            found += [_position(forecast, *row) for row in rows]
        return found

    async def record_announced(self, waits: Mapping[str, tuple[int, int]]) -> None:
        """Store the announced wait of each job that has none yet."""
        await record_announced_waits(self._redis, waits)


def _position(
    forecast: WaitForecast | None, position: int, waiting: int, behind: int, paused: int
) -> QueuePosition | None:
    if not position:
        return None
    eta = forecast.eta_seconds(position) if forecast and not (behind or paused) else None
    return QueuePosition(position, waiting, bool(behind), eta, bool(paused))


# Returns for each job its position or 0, how many jobs wait, whether it waits behind its chat's
# live run, and whether the processing of the queue is paused. Leased and deferred jobs have a score
# in the future and are behind all that wait. Those that are due by their time are claimed before
# those in fair order. A pause invalidates the announced waits.
@redis_script(
    CHAT_QUEUE,
    IS_PAUSED,
    """
local paused = is_paused('processing', queue) and 1 or 0
local waiting = redis.call('ZCOUNT', queue, '-inf', now_ms())
local virtual = redis.call('ZCOUNT', queue, '-inf', '(' .. first_real)
local function in_chat(id)
  local chat_queue = redis.call('GET', chat_of(id))
  local rank = chat_queue and redis.call('LPOS', chat_queue, id .. ' ' .. queue)
  if not rank or rank == 0 then return {0, waiting, 0, paused} end
  return {rank, redis.call('LLEN', chat_queue) - 1, 1, paused}
end
local function position_of(rank)
  return rank < virtual and rank + 1 + waiting - virtual or rank + 1 - virtual
end
local reply = {}
for i, id in ipairs(job_ids) do
  if paused == 1 then redis.call('HDEL', share_of(id), 'announced') end
  local rank = redis.call('ZRANK', queue, id)
  reply[i] = rank and rank < waiting and {position_of(rank), waiting, 0, paused} or in_chat(id)
end
return reply
""",
)
def _read(*, queue: Key, job_ids: Arguments) -> list[tuple[int, int, int, int]]: ...
