"""Admission: whether a run is let in, decided and done in one step.

One script checks the limits, makes the run the chat's newest, queues its job and wakes a worker.
What is refused leaves no trace. Called again after a lost reply it changes nothing: a run that has
its hash has been let in.

What is looked at first, refuses: a key that was used (the same run again), the chat's live run, the
owner's rate, the owner's live runs, the queue. Only a run that is let in spends of the rate.
"""

from dataclasses import dataclass
from hashlib import sha256

from shared import keys, rate
from shared.allowance import Allowance
from shared.errors import IdempotencyMismatch, QueueFull, TooManyRuns
from shared.jobs import RunChat, queued_payload
from shared.redis import Redis, Script
from shared.runs import Run
from shared.settings import LimitSettings

#: How long a run waits at most for the one that it supersedes to end.
SUPERSEDE_SECONDS = 6.0

#: Wake-up tokens that a queue holds at most: beyond it workers are busy, and need no waking.
_WAKE_CAP = 1000
#: Where too much goes on: seconds after which a client may ask again, at least and at most.
_SOONEST, _LATEST = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The key of a request that may come again, and what it asked for."""

    key: str
    fingerprint: str

    @classmethod
    def of(cls, key: str, request: bytes) -> "Idempotency":
        return cls(key, sha256(request).hexdigest())


@dataclass(frozen=True, slots=True)
class Admitted:
    """The run that answers: another than asked for, where the key had been used before.

    It waits for `superseded` to end, until it is told that it need not (`JobQueue.release`).
    """

    run_id: str
    superseded: str | None
    allowance: Allowance | None


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Another run of the chat has come, after the one that was to be continued."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Occupied:
    """The chat has a live run, which was not to be superseded."""

    run_id: str


class Admission:
    def __init__(self, redis: Redis, *, live_ttl: float) -> None:
        self._redis = redis
        self._ttl_ms = int(live_ttl * 1000)

    async def admit(
        self,
        run: Run,
        job: RunChat,
        limits: LimitSettings,
        *,
        supersede: bool = False,
        idempotency: Idempotency | None = None,
    ) -> Admitted | Occupied | Overtaken:
        """Let a run in. The logs of the runs that it continues are kept as long as its own.

        Raises:
            RateLimited: if its owner has started too many runs.
            TooManyRuns: if its owner has too many live ones.
            QueueFull: if too many runs of all owners wait.
            IdempotencyMismatch: if the key was used for another request.
        """
        fields = [text for pair in run.to_hash().items() for text in pair]
        reply: list[bytes | int] = await _ADMIT.run(
            self._redis,
            self._keys(run, idempotency),
            [
                run.id,
                queued_payload(job),
                self._ttl_ms,
                _WAKE_CAP,
                int(SUPERSEDE_SECONDS * 1000) if supersede else 0,
                idempotency.fingerprint if idempotency else "",
                keys.run("%s"),
                keys.stream("%s"),
                run.continues,
                limits.requests_per_minute,
                limits.burst,
                limits.live_runs,
                limits.queue_depth,
                *fields,
            ],
        )
        return _outcome(reply, limits)

    def _keys(self, run: Run, idempotency: Idempotency | None) -> list[str]:
        queue = keys.queue(run.queue)
        return [
            keys.chat(run.owner, run.chat_id),
            keys.run(run.id),
            keys.job(run.id),
            queue,
            keys.wake(queue),
            keys.rate(run.owner),
            keys.live_runs(run.owner),
            *([keys.idempotency(run.owner, idempotency.key)] if idempotency else []),
        ]

    async def known(self, owner: str, idempotency: Idempotency) -> str | None:
        """The run that a request with this key has led to.

        Raises:
            IdempotencyMismatch: if the key was used for another request.
        """
        used: list[bytes | None] = await self._redis.execute_command(
            "HMGET", keys.idempotency(owner, idempotency.key), "run", "fingerprint"
        )
        run_id, fingerprint = used
        if run_id is None or fingerprint is None:
            return None
        if fingerprint.decode() != idempotency.fingerprint:
            raise IdempotencyMismatch
        return run_id.decode()


def _outcome(reply: list[bytes | int], limits: LimitSettings) -> Admitted | Occupied | Overtaken:
    verdict, run_id, superseded, number = reply
    match verdict:
        case b"admitted":
            other = _text(superseded) or None
            return Admitted(_text(run_id), other, rate.left("runs", int(number), limits))
        case b"occupied":
            return Occupied(_text(run_id))
        case b"overtaken":
            return Overtaken(_text(run_id))
        case b"rate":
            raise rate.exceeded("runs", int(number), limits)
        case b"runs":
            raise _too_many_runs(int(number), limits)
        case b"queue":
            raise QueueFull(retry_after=_patience(int(number)))
        case _:
            raise IdempotencyMismatch


def _text(reply: bytes | int) -> str:
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def _too_many_runs(oldest_ms: int, limits: LimitSettings) -> TooManyRuns:
    most = limits.live_runs
    return TooManyRuns(
        f"At most {most:,} of your answers may be made at once. Wait for one to end, or stop one.",
        retry_after=_patience(oldest_ms),
        allowance=Allowance("live-runs", most, 0),
    )


def _patience(age_ms: int) -> float:
    """Nobody knows when an answer ends: what took so long may take as long again."""
    return min(max(age_ms / 1000, _SOONEST), _LATEST)


#: KEYS chat, run, job, queue, wake, rate, live runs, idempotency (if there is a key).
#: ARGV run, job, TTL, wake cap, milliseconds to wait for a superseded run (0: none may be),
#: fingerprint or '', a run's key and its log's as formats, the runs that it continues, runs a
#: minute, burst, live runs, depth, run's fields.
#: Returns verdict, run, superseded run or '', and a number: what is spent of the rate in µs, or the
#: age of the oldest in ms. Times are Redis' own: clients' clocks differ.
#: The rate is a token bucket, kept as the time at which it is full again (GCRA).
#: A live run whose closing was missed is found among the oldest, which ended ones become in time.
_ADMIT = Script("""
local ttl = tonumber(ARGV[3])
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)
local interval = ARGV[10] == '0' and 0 or 60000000 / ARGV[10]
local full = tonumber(redis.call('GET', KEYS[6]) or '0')
local spent = math.max(0, math.min(full - micros, interval * ARGV[11]))
local function field(id, name)
  return redis.call('HGET', string.format(ARGV[7], id), name) or ''
end
local function live(id)
  local state = field(id, 'state')
  return state == 'queued' or state == 'running'
end
local function admitted(id)
  return {'admitted', id, field(id, 'supersedes'), math.ceil(spent)}
end

if redis.call('EXISTS', KEYS[2]) == 1 then return admitted(ARGV[1]) end
if KEYS[8] then
  local used = redis.call('HMGET', KEYS[8], 'run', 'fingerprint')
  if used[1] and redis.call('EXISTS', string.format(ARGV[7], used[1])) == 1 then
    if used[2] ~= ARGV[6] then return {'mismatch', '', '', 0} end
    return {'admitted', used[1], '', math.ceil(spent)}
  end
end

local newest = redis.call('GET', KEYS[1])
local continued = string.match(ARGV[9], '%S+$')
if continued and newest ~= continued then
  return {newest and live(newest) and 'occupied' or 'overtaken', newest or '', '', 0}
end
local superseded = newest and live(newest) and newest or ''
if superseded ~= '' and ARGV[5] == '0' then return {'occupied', superseded, '', 0} end

if interval > 0 and spent > interval * (ARGV[11] - 1) + 1 then
  return {'rate', '', '', math.ceil(spent)}
end

local function count()
  local others = redis.call('ZCARD', KEYS[7])
  if superseded ~= '' and redis.call('ZSCORE', KEYS[7], superseded) then others = others - 1 end
  return others
end
local most = tonumber(ARGV[12])
if most > 0 and count() >= most then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[7], 0, 15)) do
    if not live(id) then redis.call('ZREM', KEYS[7], id) end
  end
  if count() >= most then
    local oldest = redis.call('ZRANGE', KEYS[7], 0, 0, 'WITHSCORES')
    return {'runs', '', '', now - oldest[2]}
  end
end

local depth = tonumber(ARGV[13])
if depth > 0 and redis.call('ZCOUNT', KEYS[4], '-inf', now) >= depth then
  local oldest = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
  return {'queue', '', '', now - oldest[2]}
end

local due = now
redis.call('HSET', KEYS[2], 'live_runs', KEYS[7], 'let_in_at', string.format('%d', now),
  unpack(ARGV, 14))
redis.call('SET', KEYS[1], ARGV[1], 'PX', ttl)
redis.call('SET', KEYS[3], ARGV[2], 'PX', ttl)
if superseded ~= '' then
  due = now + ARGV[5]
  redis.call('HSET', KEYS[2], 'supersedes', superseded)
  redis.call('HINCRBY', string.format(ARGV[7], superseded), 'cancel', 1)
elseif redis.call('LLEN', KEYS[5]) < tonumber(ARGV[4]) then
  redis.call('LPUSH', KEYS[5], '1')
end
for id in string.gmatch(ARGV[9], '%S+') do
  redis.call('PEXPIRE', string.format(ARGV[7], id), ttl)
  redis.call('PEXPIRE', string.format(ARGV[8], id), ttl)
end
redis.call('ZADD', KEYS[4], due, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', now - ttl)
redis.call('ZADD', KEYS[7], now, ARGV[1])
if interval > 0 then
  spent = spent + interval
  redis.call('SET', KEYS[6], string.format('%.0f', micros + spent), 'PX', math.ceil(spent / 1000))
end
if KEYS[8] then
  redis.call('HSET', KEYS[8], 'run', ARGV[1], 'fingerprint', ARGV[6])
  redis.call('PEXPIRE', KEYS[8], ttl)
end
for _, key in ipairs({KEYS[2], KEYS[4], KEYS[5], KEYS[7]}) do redis.call('PEXPIRE', key, ttl) end
return admitted(ARGV[1])
""")
