"""The positions of jobs among those that wait for a worker."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Arguments, Key, redis_script

#: How many jobs one script call looks up. A call takes about a millisecond.
_BATCH = 1000


class QueuePosition(NamedTuple):
    """The position of a job in its queue, counted from 1, and how many jobs wait there."""

    position: int
    waiting: int


class QueuePositions:
    """Reads the positions of jobs."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(
        self, run_ids: Sequence[str], *, queue: str = keys.MAIN_QUEUE
    ) -> list[QueuePosition | None]:
        """Return the position of each job; None for those that do not wait for a worker."""
        found: list[QueuePosition | None] = []
        for start in range(0, len(run_ids), _BATCH):
            batch = run_ids[start : start + _BATCH]
            waiting, *positions = await _read(self._redis, queue=keys.queue(queue), job_ids=batch)
            found += [
                QueuePosition(position, waiting) if position else None for position in positions
            ]
        return found


# Returns how many jobs wait, and the position of each job among them, or 0. Leased and deferred
# jobs have a score in the future and are behind all that wait.
@redis_script("""
local waiting = redis.call('ZCOUNT', queue, '-inf', now_ms())
local reply = {waiting}
for i, id in ipairs(job_ids) do
  local rank = redis.call('ZRANK', queue, id)
  reply[i + 1] = rank and rank < waiting and rank + 1 or 0
end
return reply
""")
def _read(*, queue: Key, job_ids: Arguments) -> list[int]: ...
