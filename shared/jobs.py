"""The job: what the API puts on the queue for a worker. The two share nothing else.

On the queue a job is arq's own, so that arq's tools can read it; JSON on both sides, never pickle.
"""

import time
from typing import Literal

from arq.jobs import serialize_job
from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json, to_json

from shared import keys
from shared.messages import Message
from shared.redis import Redis, Script

#: The kind of the job; a name on the queue that never changes.
RUN_CHAT = "run_chat"

#: Wake-up tokens that a queue holds at most: beyond it workers are busy, and need no waking.
_WAKE_CAP = 1000


class RunChat(BaseModel):
    """What `run_chat` is called with. A new field needs a default, a changed one a new version."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    run_id: str
    chat_id: str
    message_id: str
    request_id: str
    agent: str
    model: str
    tools: tuple[str, ...] = ()
    messages: tuple[Message, ...]


dump_job = to_json
load_job = from_json


class JobQueue:
    """The sending side of the queue."""

    def __init__(self, redis: Redis, *, live_ttl: float, queue: str = keys.QUEUE) -> None:
        self._redis = redis
        self._ttl_ms = int(live_ttl * 1000)
        self._queue = queue

    async def latest(self, owner: str, chat_id: str) -> str | None:
        """The id of the chat's newest run."""
        run_id: bytes | None = await self._redis.execute_command("GET", keys.chat(owner, chat_id))
        return run_id.decode() if run_id else None

    async def enqueue(self, job: RunChat, *, owner: str, after: str | None) -> bool:
        """Accept a run: make it the chat's newest, queue its job and wake a worker, in one step.

        False, and nothing has changed, if the chat's newest run is no longer `after`.
        """
        queue, now_ms = self._queue, time.time_ns() // 1_000_000
        args = (job.model_dump(mode="json"),)
        payload = serialize_job(RUN_CHAT, args, {}, None, now_ms, serializer=dump_job)
        accepted = await _ENQUEUE.run(
            self._redis,
            [keys.chat(owner, job.chat_id), keys.job(job.run_id), queue, keys.wake(queue)],
            [after or "", job.run_id, payload, self._ttl_ms, _WAKE_CAP],
        )
        return accepted == 1

    async def leased_by(self, run_id: str) -> str | None:
        """The id of the worker that has the run right now."""
        worker: bytes | None = await self._redis.execute_command("GET", keys.lease(run_id))
        return worker.decode() if worker else None

    async def queued(self, run_id: str) -> bool:
        """Whether the run's job still stands in the queue, waiting or running."""
        return await self._redis.execute_command("ZSCORE", self._queue, run_id) is not None

    async def remove(self, run_id: str) -> None:
        """Take back the job of a run that has ended."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.execute_command("ZREM", self._queue, run_id)
            pipe.execute_command("DEL", keys.job(run_id), keys.tries(run_id))
            await pipe.execute()

    async def tell(self, worker_id: str, order: str) -> None:
        """Send a worker an order, at most once: it must be recorded elsewhere too."""
        await self._redis.execute_command("PUBLISH", keys.worker(worker_id), order)


#: KEYS chat, job, queue, wake; ARGV expected run, run, job, TTL, cap. Scores are Redis' own time:
#: clients' clocks differ. Called again after a lost reply, it changes nothing.
_ENQUEUE = Script("""
local newest = redis.call('GET', KEYS[1]) or ''
if newest == ARGV[2] then return 1 end
if newest ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
redis.call('ZADD', KEYS[3], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[2])
if redis.call('LLEN', KEYS[4]) < tonumber(ARGV[5]) then redis.call('LPUSH', KEYS[4], '1') end
redis.call('PEXPIRE', KEYS[3], ARGV[4])
redis.call('PEXPIRE', KEYS[4], ARGV[4])
return 1
""")
