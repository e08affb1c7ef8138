"""The queues as the API and the operator's commands use them.

`shared/runs/admission.py` queues runs, and `worker/queue/lease_worker.py` claims jobs.
"""

from collections.abc import Sequence
from typing import Literal, cast

from shared.queue.chat_queue import CHAT_QUEUE
from shared.queue.commands import Command, encode_command
from shared.queue.fair_queue import FAIR_QUEUE
from shared.queue.job import GenerateTitle, encode_job
from shared.queue.wakeups import PUSH_WAKEUP
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Arguments, Key, redis_script


class JobQueue:
    """Adds, moves and removes jobs."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def enqueue_title(self, job: GenerateTitle, owner: str, *, seconds: float) -> None:
        """Queue a title. The job expires after `seconds`.

        Titles do not wait behind the owner's runs: they are ordered as jobs of another owner.
        """
        await _enqueue_title(
            self._redis,
            job=keys.job(job.title_id),
            fair_job=keys.fair_job(job.title_id),
            queue=keys.QUEUE,
            wakeup=keys.wakeup(keys.QUEUE),
            fair_owner=keys.fair_owner(keys.QUEUE, f"title {owner}"),
            job_id=job.title_id,
            payload=encode_job(job),
            ttl_ms=int(seconds * 1000),
        )

    async def defer(self, run_id: str, *, seconds: float, queue: str = keys.MAIN_QUEUE) -> None:
        """Make a deferred job due in `seconds`. A job that is due or held stays unchanged."""
        await self._set_due(run_id, queue, delay_ms=int(seconds * 1000))

    async def make_due(self, run_id: str, *, queue: str = keys.MAIN_QUEUE) -> None:
        """Make a deferred job due now, unless a worker holds it."""
        await self._set_due(run_id, queue, delay_ms=0)

    async def _set_due(self, run_id: str, queue: str, *, delay_ms: int) -> None:
        zset = keys.queue(queue)
        await _set_due(
            self._redis,
            queue=zset,
            wakeup=keys.wakeup(zset),
            lease=keys.lease(run_id),
            job_id=run_id,
            delay_ms=delay_ms,
        )

    async def requeue(
        self, run_id: str, *, queue: str = keys.MAIN_QUEUE
    ) -> Literal["due", "held", "gone", "behind"]:
        """Make a job due now, even if it is no longer in its queue.

        Returns "held" if a worker holds the job, "gone" if its payload has expired, and "behind" if
        it waits for an earlier job of its chat.
        """
        zset = keys.queue(queue)
        reply = await _requeue(
            self._redis,
            queue=zset,
            wakeup=keys.wakeup(zset),
            lease=keys.lease(run_id),
            job=keys.job(run_id),
            job_id=run_id,
        )
        return cast("Literal['due', 'held', 'gone', 'behind']", reply.decode())

    async def move_to_front(
        self, run_id: str, *, queue: str = keys.MAIN_QUEUE
    ) -> Literal["moved", "held", "gone", "deferred"]:
        """Move a waiting job before all others in the fair order. Recovered jobs stay first.

        Returns "held" if a worker holds the job, "gone" if it is not in the queue, and "deferred"
        if it is not due yet.
        """
        reply = await _move_to_front(
            self._redis, queue=keys.queue(queue), lease=keys.lease(run_id), job_id=run_id
        )
        return cast("Literal['moved', 'held', 'gone', 'deferred']", reply.decode())

    async def leased_by(self, run_id: str) -> str | None:
        """Return the id of the worker that holds the job now."""
        worker: bytes | None = await self._redis.execute_command("GET", keys.lease(run_id))
        return worker.decode(errors="replace") if worker else None

    async def queued(self, run_id: str, *, queue: str = keys.MAIN_QUEUE) -> bool:
        """Return whether the job is in the queue: waiting, deferred, or held by a worker."""
        return await self._redis.execute_command("ZSCORE", keys.queue(queue), run_id) is not None

    async def find_jobs(self, runs: Sequence[tuple[str, str, bool]]) -> set[str]:
        """Return those of the runs whose jobs are in their queues or held by workers.

        Each run is an id, the name of its queue, and whether it has not started. If it has not, the
        first job of its chat becomes due unless a worker holds it. Earlier jobs that have left
        their queues no longer count.
        """
        if not runs:
            return set()
        jobs = [
            text
            for run_id, queue, is_queued in runs
            for text in (run_id, keys.queue(queue), int(is_queued))
        ]
        found = await _find_jobs(self._redis, lease_prefix=keys.lease(""), jobs=jobs)
        return {run_id.decode() for run_id in found}

    async def remove(self, run_id: str, *, queue: str = keys.MAIN_QUEUE) -> None:
        """Remove a job. If it is the first of its chat, the next one becomes due."""
        await _remove(
            self._redis,
            queue=keys.queue(queue),
            job=keys.job(run_id),
            job_id=run_id,
        )

    async def send_command(self, worker_id: str, command: Command) -> None:
        """Send a command to a worker, at most once: record its purpose elsewhere first."""
        message = encode_command(command)
        await self._redis.execute_command("PUBLISH", keys.worker_commands(worker_id), message)


# Does nothing if the job exists: the call may be repeated. Titles do not count as waiting runs.
@redis_script(
    PUSH_WAKEUP,
    FAIR_QUEUE,
    """
if redis.call('EXISTS', job) == 1 then return end
redis.call('SET', job, payload, 'PX', ttl_ms)
redis.call('HSET', fair_job, 'owner', fair_owner, 'weight', 1)
redis.call('PEXPIRE', fair_job, ttl_ms)
enter_for(fair_owner, 1, queue, job_id, now_ms(), math.max(ttl_ms, redis.call('PTTL', queue)))
redis.call('ZREM', owners_of(queue), fair_owner)
keep(queue, ttl_ms)
push_wakeup(wakeup, ttl_ms)
""",
)
def _enqueue_title(
    *,
    job: Key,
    fair_job: Key,
    queue: Key,
    wakeup: Key,
    fair_owner: Key,
    job_id: str,
    payload: bytes,
    ttl_ms: int,
) -> None: ...


@redis_script(
    PUSH_WAKEUP,
    FAIR_QUEUE,
    """
local now = now_ms()
local due = redis.call('ZSCORE', queue, job_id)
if not due or tonumber(due) <= now or redis.call('EXISTS', lease) == 1 then return end
if delay_ms > 0 then
  redis.call('ZADD', queue, now + delay_ms, job_id)
else
  enter(queue, job_id, now)
  push_wakeup(wakeup)
end
""",
    when_full=True,
)
def _set_due(*, queue: Key, wakeup: Key, lease: Key, job_id: str, delay_ms: int) -> None: ...


@redis_script(
    CHAT_QUEUE,
    """
redis.call('ZREM', queue, job_id)
record_end(queue, job_id, now_ms())
redis.call('DEL', job)
leave_chat(job_id)
""",
    when_full=True,
)
def _remove(*, queue: Key, job: Key, job_id: str) -> None: ...


# `jobs` are the id of each job, the key of its queue, and whether its run has not started (0 or 1).
@redis_script(
    CHAT_QUEUE,
    """
local found = {}
for i = 1, #jobs, 3 do
  local id, queue, is_queued = jobs[i], jobs[i + 1], jobs[i + 2]
  local chat_queue = is_queued == '1' and redis.call('GET', chat_of(id))
  if chat_queue then start_first(chat_queue) end
  if redis.call('EXISTS', lease_prefix .. id) == 1 or redis.call('ZSCORE', queue, id) then
    found[#found + 1] = id
  end
end
return found
""",
    when_full=True,
)
def _find_jobs(*, lease_prefix: str, jobs: Arguments) -> list[bytes]: ...


# The queue's TTL is at least the job's.
@redis_script(
    CHAT_QUEUE,
    """
local ttl = redis.call('PTTL', job)
if ttl < 0 then return 'gone' end
if redis.call('EXISTS', lease) == 1 then return 'held' end
if not may_start(job_id, queue) then return 'behind' end
leave(queue, job_id)
record_requeue(job_id)
redis.call('ZADD', queue, now_ms(), job_id)
keep(queue, ttl)
push_wakeup(wakeup)
return 'due'
""",
    when_full=True,
)
def _requeue(*, queue: Key, wakeup: Key, lease: Key, job: Key, job_id: str) -> bytes: ...


# A job that is due by its time and has started needs no move: it is claimed before the fair order.
@redis_script(
    FAIR_QUEUE,
    """
local now, score = now_ms(), score_of(queue, job_id)
if not score then return 'gone' end
if redis.call('EXISTS', lease) == 1 then return 'held' end
if score > now then return 'deferred' end
if score < first_real or return_to_order(queue, job_id, now) then
  move_to_front(queue, job_id, now)
end
return 'moved'
""",
    when_full=True,
)
def _move_to_front(*, queue: Key, lease: Key, job_id: str) -> bytes: ...
