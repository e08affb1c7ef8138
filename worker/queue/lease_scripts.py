"""The scripts that claim jobs, renew their leases and release them."""

from collections.abc import Iterable
from typing import Literal, TypedDict, Unpack

from shared.limits.owner_bytes import OWNER_BYTES
from shared.queue.announced_waits import CHECK_ANNOUNCED_WAIT
from shared.queue.chat_queue import CHAT_QUEUE
from shared.queue.fair_queue import FAIR_QUEUE
from shared.queue.pauses import IS_PAUSED
from shared.queue.wakeups import PUSH_WAKEUP
from shared.redis import keys
from shared.redis.client import Pipeline, Redis
from shared.redis.scripts import Arguments, Key, Keys, redis_script
from shared.runs.ended_runs import ADD_ENDED_RUN, EndedRunParameters

#: The most bytes of payloads that the reply of a claim contains.
_MAX_PAYLOADS = 1_000_000


class ClaimParameters(TypedDict):
    """The parameters of a claim."""

    lease_ms: int
    #: The largest number of jobs to claim.
    count: int
    #: The number of jobs that the worker runs.
    running: int
    background_share: float
    worker_id: str


async def claim(
    redis: Redis, queues: Iterable[str], **parameters: Unpack[ClaimParameters]
) -> list[tuple[bytes, bytes, bytes, bytes]]:
    """Claim due jobs of these queues, which are keys.

    Returns the queue, the id, the payload, and the announced wait of each job. The payload is empty
    if it has expired, or if the reply would become too large.
    """
    return await _claim(redis, **_claim_script_parameters(queues, parameters))


def add_claim(pipe: Pipeline, queues: Iterable[str], **parameters: Unpack[ClaimParameters]) -> None:
    """Add a claim to a pipeline. Its reply is a NoScriptError if the server lacks the script."""
    _claim.add_to(pipe, **_claim_script_parameters(queues, parameters))


class _ClaimScriptParameters(ClaimParameters):
    workers: Key
    queue_pairs: Keys
    lease_prefix: str
    job_prefix: str
    payload_room: int


def _claim_script_parameters(
    queues: Iterable[str], parameters: ClaimParameters
) -> _ClaimScriptParameters:
    return {
        "workers": keys.WORKERS,
        "queue_pairs": [key for queue in queues for key in (queue, keys.wakeup(queue))],
        "lease_prefix": keys.lease(""),
        "job_prefix": keys.job(""),
        "payload_room": _MAX_PAYLOADS,
        **parameters,
    }


# Claims one due job of each queue in turn. `next_due` chooses the job of a queue.
# `queue_pairs` are the keys of each queue and its wakeups; `running` counts the worker's own jobs.
#
# `jobs_per_worker` is the number of jobs in the queues, divided by the number of workers. A worker
# that runs fewer jobs claims up to this number, and any other worker claims one job. Without this
# limit, the first worker to respond would claim a whole burst.
#
# A queue that still has due jobs keeps a wakeup token. A job that waits for an earlier one of its
# chat is deferred again. A job that was handed back, or was deferred and never claimed, enters the
# fair order when it is due: at most 100 jobs for each job to claim, so that a call stays short. In
# a queue whose processing is paused, only jobs that are due by their time can be claimed.
@redis_script(
    CHAT_QUEUE,
    CHECK_ANNOUNCED_WAIT,
    IS_PAUSED,
    """
local now = now_ms()
local queues, wakeups, claimed, jobs = {}, {}, {}, 0
for i = 1, #queue_pairs, 2 do
  queues[#queues + 1], wakeups[#wakeups + 1] = queue_pairs[i], queue_pairs[i + 1]
  jobs = jobs + redis.call('ZCARD', queue_pairs[i])
end
local jobs_per_worker = math.ceil(jobs / math.max(1, redis.call('ZCOUNT', workers, now, '+inf')))
count = math.min(count, math.max(1, jobs_per_worker - running))
local paused = {}
for _, queue in ipairs(queues) do paused[queue] = is_paused('processing', queue) end
local background_shares = {}
for _, queue in ipairs(queues) do
  if repair(queue) then background_shares[queue] = background_share end
end
local function next_job(queue)
  for _ = 1, 100 do
    local id, score, rate = next_due(queue, now, background_shares[queue])
    local is_timed = id and score >= first_real
    if not is_timed or not return_to_order(queue, id, now) then return id, score, rate end
  end
end
local function payload_of(id)
  local job = job_prefix .. id
  local size = redis.call('STRLEN', job)
  if size > payload_room then return '' end
  payload_room = payload_room - size
  return redis.call('GET', job) or ''
end
local function next_claimable(queue)
  local id, score, rate = next_job(queue)
  if id and not (paused[queue] and score < first_real) then return id, score, rate end
end
local function has_claimable(queue)
  if paused[queue] then return next_claimable(queue) end
  return has_due(queue, now)
end
local function claim_next(queue)
  local id, score, rate = next_claimable(queue)
  if not id then return end
  if not may_start(id, queue) then
    redis.call('ZADD', queue, now + recheck_ms, id)
    leave(queue, id)
    return
  end
  redis.call('ZADD', queue, now + lease_ms, id)
  redis.call('SET', lease_prefix .. id, worker_id, 'PX', lease_ms)
  local announced = record_claim(queue, id, score, now, rate, background_share)
  announced = announced and check_announced_wait(queue, id, announced, now)
  claimed[#claimed + 1] = {queue, id, payload_of(id), announced or ''}
end
for _ = 1, count do
  for _, queue in ipairs(queues) do
    if #claimed < count then claim_next(queue) end
  end
end
for q, wakeup in ipairs(wakeups) do
  if not has_claimable(queues[q]) then
    redis.call('DEL', wakeup)
  elseif redis.call('EXISTS', wakeup) == 0 then
    push_wakeup(wakeup)
  end
end
return claimed
""",
    when_full=True,
)
def _claim(
    **parameters: Unpack[_ClaimScriptParameters],
) -> list[tuple[bytes, bytes, bytes, bytes]]: ...


# Renews the leases of jobs, and returns the ids of those that another worker holds or that have
# left the queue. A lease that expired without another claim is renewed.
@redis_script(
    FAIR_QUEUE,
    """
local now = now_ms()
local lost = {}
for _, id in ipairs(job_ids) do
  local lease = lease_prefix .. id
  local holder = redis.call('GET', lease)
  local queued = score_of(queue, id)
  if queued and (not holder or holder == worker_id) then
    skip_after(queued, id, now)
    redis.call('SET', lease, worker_id, 'PX', lease_ms)
    redis.call('ZADD', queue, now + lease_ms, id)
  else
    lost[#lost + 1] = id
  end
end
return lost
""",
    when_full=True,
)
def renew(
    *, queue: Key, lease_ms: int, lease_prefix: str, worker_id: str, job_ids: Arguments
) -> list[bytes]: ...


async def release(
    redis: Redis,
    *,
    queue: str,
    job_id: str,
    worker_id: str,
    outcome: Literal["done", "due", "handed_back"],
    delay_ms: int = 0,
    ended: EndedRunParameters | None = None,
) -> None:
    """Remove a finished job, which starts the next one of its chat, or make it due again.

    A job that is handed back becomes due after the delay, and then waits in the fair order. Does
    nothing to the job if another worker holds the lease. If the lease has expired, the job keeps
    its due time, which another worker may have set. `ended` records the end of its run.
    """
    parameters: _Release = {
        "queue": queue,
        "wakeup": keys.wakeup(queue),
        "lease": keys.lease(job_id),
        "job": keys.job(job_id),
        "job_id": job_id,
        "worker_id": worker_id,
        "outcome": outcome,
        "delay_ms": delay_ms,
    }
    if ended is None:
        await _release(redis, **parameters)
    else:
        await _release_ended(redis, **parameters, **ended)


class _Release(TypedDict):
    queue: Key
    wakeup: Key
    lease: Key
    job: Key
    job_id: str
    worker_id: str
    outcome: str
    delay_ms: int


_RELEASE = """
local holder = redis.call('GET', lease)
if holder and holder ~= worker_id then return end
redis.call('DEL', lease)
if outcome == 'done' then
  redis.call('ZREM', queue, job_id)
  record_end(queue, job_id, now_ms())
  redis.call('DEL', job)
  leave_chat(job_id)
elseif not redis.call('ZSCORE', queue, job_id) then
  return
elseif outcome == 'handed_back' then
  record_hand_back(queue, job_id, now_ms())
  redis.call('ZADD', queue, now_ms() + delay_ms, job_id)
else
  if holder then
    record_release(job_id, now_ms())
    redis.call('ZADD', queue, now_ms(), job_id)
  end
  push_wakeup(wakeup)
end
"""


@redis_script(CHAT_QUEUE, _RELEASE, when_full=True)
def _release(**parameters: Unpack[_Release]) -> None: ...


class _ReleaseEnded(_Release, EndedRunParameters): ...


@redis_script(CHAT_QUEUE, OWNER_BYTES, ADD_ENDED_RUN, _RELEASE, when_full=True)
def _release_ended(**parameters: Unpack[_ReleaseEnded]) -> None: ...


# Pushes a wakeup token, which ends the wait of a worker.
@redis_script(PUSH_WAKEUP, "push_wakeup(wakeup)", when_full=True)
def push_token(*, wakeup: Key) -> None: ...
