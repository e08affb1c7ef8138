"""The positions of jobs among those that wait for a worker, or for the live run of their chat."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from shared.queue.announced_waits import JobKind, LikelyWait, record_announced_waits
from shared.queue.chat_queue import CHAT_QUEUE
from shared.queue.claim_order import DEFAULT_BACKGROUND_PART, ClaimOrder
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
    `likely_wait`: the shortest and longest likely wait, if it can be estimated.
    `paused`: workers do not start the waiting jobs of this queue at the moment.
    """

    position: int
    waiting: int
    behind_chat: bool = False
    likely_wait: LikelyWait | None = None
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
            state, *rows = await _read(self._redis, queue=keys.queue(queue), job_ids=batch)
            order = _claim_order(state)
            found += [_position(order, forecast, *row) for row in cast("list[_Row]", rows)]
        return found

    async def record_announced(self, waits: Mapping[str, LikelyWait]) -> None:
        """Store the announced wait of each job that has none yet."""
        await record_announced_waits(self._redis, waits)


#: The rank of a job in its class or in the queue of its chat, or 0; whether it is a background job;
#: how many runs wait in the queue of its chat, or 0; and by how many milliseconds its start is
#: later than the virtual time of its class.
_Row = tuple[int, int, int, int]


def _claim_order(state: Sequence[int | bytes | None]) -> ClaimOrder:
    """Return the order from the counts of both classes, and from values that may not exist."""
    interactive, background, paused, *values = [
        0.0 if value is None else float(value) for value in state
    ]
    of_interactive, of_background, of_all, share, owed, part, advance, background_advance = values
    mean = of_all or 1.0
    return ClaimOrder(
        interactive=int(interactive),
        background=int(background),
        interactive_seconds=of_interactive or mean,
        background_seconds=of_background or mean,
        mean_seconds=mean,
        background_share=share,
        owed=owed,
        background_part=part or DEFAULT_BACKGROUND_PART,
        paused=bool(paused),
        advance=advance,
        background_advance=background_advance,
    )


def _position(
    order: ClaimOrder,
    forecast: WaitForecast | None,
    rank: int,
    background: int,
    in_chat: int,
    virtual_ms: int,
) -> QueuePosition | None:
    if not rank:
        return None
    if in_chat:
        return QueuePosition(rank, in_chat, behind_chat=True, paused=order.paused)
    position = order.position_of(rank, background=bool(background))
    wait = None
    if forecast is not None and not order.paused:
        first, last = order.likely_positions(rank, virtual_ms / 1000, background=bool(background))
        wait = forecast.likely_wait(first, last, _kind(virtual_ms, background))
    waiting = order.interactive + order.background
    return QueuePosition(position, waiting, likely_wait=wait, paused=order.paused)


def _kind(virtual_ms: int, background: int) -> JobKind:
    if background:
        return "background"
    return "overtakable" if virtual_ms > 0 else "ordered"


# Returns the state of both classes and whether the processing of the queue is paused, and a row for
# each job. Leased and deferred jobs have a score in the future and are behind all that wait. Those
# that are due by their time are claimed before those in fair order, so they count as interactive. A
# pause invalidates the announced waits.
@redis_script(
    CHAT_QUEUE,
    IS_PAUSED,
    """
local paused = is_paused('processing', queue) and 1 or 0
local waiting = redis.call('ZCOUNT', queue, '-inf', now_ms())
local in_order = redis.call('ZCOUNT', queue, '-inf', '(' .. first_real)
local background = redis.call('ZCOUNT', queue, first_background, '(' .. first_real)
local function in_chat(id)
  local chat_queue = redis.call('GET', chat_of(id))
  local rank = chat_queue and redis.call('LPOS', chat_queue, id .. ' ' .. queue)
  if not rank or rank == 0 then return {0, 0, 0, 0} end
  return {rank, 0, redis.call('LLEN', chat_queue) - 1, 0}
end
-- The start of a job that is not its owner's first one is an estimate.
local virtual_times = {[0] = virtual_now(queue, 0), virtual_now(queue, first_background)}
local function virtual_ms(id, is_background)
  local start = score_of(queue, id) - is_background * first_background
  if start >= first_estimated then start = start - first_estimated end
  local now = virtual_times[is_background] - is_background * first_background
  return math.max(0, math.floor((start - now) * 1000))
end
local function in_class(id, rank)
  if rank >= in_order then return {rank + 1 - in_order, 0, 0, 0} end
  local first = in_order - background
  if rank >= first then return {rank + 1 - first, 1, 0, virtual_ms(id, 1)} end
  return {rank + 1 + waiting - in_order, 0, 0, virtual_ms(id, 0)}
end
local values = redis.call('HMGET', clock_of(queue), 'interactive_cost', 'background_cost', 'cost',
  'background_share', 'owed', 'background_part', 'advance', 'background_advance')
local reply = {{waiting - background, background, paused, unpack(values)}}
for i, id in ipairs(job_ids) do
  if paused == 1 then redis.call('HDEL', fair_job_of(id), 'announced') end
  local rank = redis.call('ZRANK', queue, id)
  reply[i + 1] = rank and rank < waiting and in_class(id, rank) or in_chat(id)
end
return reply
""",
)
def _read(*, queue: Key, job_ids: Arguments) -> list[list[int | bytes | None]]: ...
