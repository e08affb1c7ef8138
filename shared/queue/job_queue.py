"""The job: what the API puts on the queue for a worker. The two share nothing else.

On the queue a job is arq's own, so that arq's tools can read it; JSON on both sides, never pickle.
"""

import time
from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

from arq.jobs import serialize_job
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json, to_json

from shared.agents.tools import ClientToolDefinition
from shared.chat.messages import Message
from shared.redis import keys
from shared.redis.client import Redis, RedisScript
from shared.streams.tool_responses import ToolResponse

#: The kinds of job; names on the queue that never change.
RUN_CHAT = "run_chat"
GENERATE_TITLE = "generate_title"

#: Jobs that are not due yet, of which `depth` looks whether a worker has them.
_LOOK = 1000
#: Jobs whose places are looked up in one script, so that it takes a millisecond.
_PLACES = 1000


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
    #: What it answers; of a continued message, what stood before it.
    messages: tuple[Message, ...]
    client_tools: tuple[ClientToolDefinition, ...] = ()
    #: Whether the client can put a call before the user.
    approvals: bool = False
    #: The runs that have made the message so far, oldest first, and what the client has answered
    #: to the calls that the last of them ended with, by the call's id.
    continues: tuple[str, ...] = ()
    answers: dict[str, ToolResponse] = Field(default_factory=dict[str, ToolResponse])
    #: Its place in a trace, where there is one: W3C's headers (`shared/tracing/`).
    trace: dict[str, str] = Field(default_factory=dict[str, str])


class GenerateTitle(BaseModel):
    """What `generate_title` is called with. It is kept for as long as somebody waits for it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    title_id: str
    request_id: str
    model: str
    max_length: int
    #: The beginning of the conversation.
    excerpt: str
    #: As above.
    trace: dict[str, str] = Field(default_factory=dict[str, str])


dump_job = to_json
load_job = from_json


def queued_payload(job: RunChat | GenerateTitle) -> bytes:
    """The job as it stands in the queue."""
    now_ms = time.time_ns() // 1_000_000
    kind = RUN_CHAT if isinstance(job, RunChat) else GENERATE_TITLE
    args = (job.model_dump(mode="json"),)
    return serialize_job(kind, args, {}, None, now_ms, serializer=dump_job)


class QueueDepth(NamedTuple):
    """A queue's jobs: due and waiting for a worker, held by one, or not due yet."""

    waiting: int
    running: int
    deferred: int
    #: How long the oldest of the waiting ones has been due.
    oldest_wait_ms: int


class QueuePosition(NamedTuple):
    """Where a job stands among those of its queue that wait for a worker, counted from 1."""

    position: int
    waiting: int


class JobQueue:
    """The queues as seen from outside the workers; `shared/runs/admission.py` puts runs on them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def enqueue_title(self, job: GenerateTitle, *, seconds: float) -> None:
        """Queue a title. A worker that comes to it later finds nothing: nobody waits for it."""
        names = [keys.job(job.title_id), keys.QUEUE, keys.wake(keys.QUEUE)]
        payload = queued_payload(job)
        await _ENQUEUE_SHORT.run(self._redis, names, [job.title_id, payload, int(seconds * 1000)])

    async def latest(self, owner: str, chat_id: str) -> str | None:
        """The id of the chat's newest run."""
        run_id: bytes | None = await self._redis.execute_command("GET", keys.chat(owner, chat_id))
        return run_id.decode() if run_id else None

    async def release(self, run_id: str, *, queue: str = keys.MAIN_QUEUE) -> None:
        """Make a job due that waited for another run to end, unless a worker has it."""
        zset = keys.queue(queue)
        names = [zset, keys.wake(zset), keys.lease(run_id)]
        await _MAKE_DUE.run(self._redis, names, [run_id, _TOKEN_TTL_MS])

    async def requeue(
        self, run_id: str, *, queue: str = keys.MAIN_QUEUE
    ) -> Literal["due", "held", "gone"]:
        """Make a job due, also one that has left its queue: not while a worker holds it."""
        zset = keys.queue(queue)
        names = [zset, keys.wake(zset), keys.lease(run_id), keys.job(run_id)]
        reply: bytes = await _REQUEUE.run(self._redis, names, [run_id, _TOKEN_TTL_MS])
        return cast("Literal['due', 'held', 'gone']", reply.decode())

    async def depth(self, queue: str = keys.MAIN_QUEUE) -> QueueDepth:
        """How much stands in the queue, in O(log n).

        Only of the 1,000 that are due last it is looked up whether a worker has them, the others
        among those that are not due count as running.
        """
        return (await self.depths([queue]))[queue]

    async def depths(self, queues: Sequence[str]) -> dict[str, QueueDepth]:
        """The depth of each of these queues, in one round trip."""
        names, args = [keys.queue(queue) for queue in queues], [keys.lease(""), _LOOK]
        reply: list[list[int]] = await _DEPTHS.run(self._redis, names, args)
        return {name: QueueDepth(*depth) for name, depth in zip(queues, reply, strict=True)}

    async def positions(
        self, run_ids: Sequence[str], *, queue: str = keys.MAIN_QUEUE
    ) -> list[QueuePosition | None]:
        """The place of each run; None for those that do not wait for a worker."""
        places: list[QueuePosition | None] = []
        for start in range(0, len(run_ids), _PLACES):
            asked = run_ids[start : start + _PLACES]
            reply: list[int] = await _FIND_PLACES.run(self._redis, [keys.queue(queue)], asked)
            waiting, *positions = reply
            places += [
                QueuePosition(position, waiting) if position else None for position in positions
            ]
        return places

    async def leased_by(self, run_id: str) -> str | None:
        """The id of the worker that has the run right now."""
        worker: bytes | None = await self._redis.execute_command("GET", keys.lease(run_id))
        return worker.decode() if worker else None

    async def queued(self, run_id: str, *, queue: str = keys.MAIN_QUEUE) -> bool:
        """Whether the run's job still stands in the queue, waiting or running."""
        return await self._redis.execute_command("ZSCORE", keys.queue(queue), run_id) is not None

    async def remove(self, run_id: str, *, queue: str = keys.MAIN_QUEUE) -> None:
        """Take back a job that nobody waits for any more."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.execute_command("ZREM", keys.queue(queue), run_id)
            pipe.execute_command("DEL", keys.job(run_id), keys.tries(run_id))
            await pipe.execute()

    async def send_command(self, worker_id: str, order: str) -> None:
        """Send a worker an order, at most once: it must be recorded elsewhere too."""
        await self._redis.execute_command("PUBLISH", keys.worker(worker_id), order)


_TOKEN_TTL_MS = 60_000

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

#: KEYS job, queue, wake; ARGV job's id, job, its TTL. Called again, it changes nothing.
_ENQUEUE_SHORT = RedisScript(
    _NOW
    + """
if redis.call('EXISTS', KEYS[1]) == 1 then return end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], now, ARGV[1])
if redis.call('LLEN', KEYS[3]) < 1000 then redis.call('LPUSH', KEYS[3], '1') end
for n = 2, 3 do
  if redis.call('PTTL', KEYS[n]) < tonumber(ARGV[3]) then
    redis.call('PEXPIRE', KEYS[n], ARGV[3])
  end
end
"""
)

#: KEYS queue, wake, lease; ARGV job, token's TTL.
_MAKE_DUE = RedisScript(
    _NOW
    + """
local due = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not due or tonumber(due) <= now or redis.call('EXISTS', KEYS[3]) == 1 then return end
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('LPUSH', KEYS[2], '1')
redis.call('PEXPIRE', KEYS[2], ARGV[2])
"""
)

#: KEYS queue, wake, lease, job; ARGV job's id, token's TTL. The queue lives as long as the job.
_REQUEUE = RedisScript(
    _NOW
    + """
local ttl = redis.call('PTTL', KEYS[4])
if ttl < 0 then return 'gone' end
if redis.call('EXISTS', KEYS[3]) == 1 then return 'held' end
redis.call('ZADD', KEYS[1], now, ARGV[1])
if redis.call('PTTL', KEYS[1]) < ttl then redis.call('PEXPIRE', KEYS[1], ttl) end
redis.call('LPUSH', KEYS[2], '1')
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 'due'
"""
)

#: KEYS queues; ARGV lease key prefix, how many leases to look for. A lease pushes its job's score
#: out by seconds at most: what is deferred stands behind.
_DEPTHS = RedisScript(
    _NOW
    + """
local function depth(queue)
  local waiting = redis.call('ZCOUNT', queue, '-inf', now)
  local later = redis.call('ZCARD', queue) - waiting
  local wait = 0
  if waiting > 0 then wait = now - redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2] end
  if later == 0 then return {waiting, 0, 0, wait} end
  local last = redis.call('ZRANGE', queue, -math.min(later, ARGV[2]), -1)
  for i, id in ipairs(last) do last[i] = ARGV[1] .. id end
  local deferred = #last - redis.call('EXISTS', unpack(last))
  return {waiting, later - deferred, deferred, wait}
end
local depths = {}
for i, queue in ipairs(KEYS) do depths[i] = depth(queue) end
return depths
"""
)

#: KEYS queue; ARGV jobs. Returns how many wait, and the position of each job among them, or 0. What
#: is leased or deferred has its score in the future, and stands behind all that wait.
_FIND_PLACES = RedisScript(
    _NOW
    + """
local waiting = redis.call('ZCOUNT', KEYS[1], '-inf', now)
local reply = {waiting}
for i, id in ipairs(ARGV) do
  local rank = redis.call('ZRANK', KEYS[1], id)
  reply[i + 1] = rank and rank < waiting and rank + 1 or 0
end
return reply
"""
)
