"""The run: one answer being made, from the accepted request to its visible end.

    queued ──▶ running ──▶ succeeded
      │           ├──────▶ failed
      │           └──────▶ cancelled
      └──────▶ failed | cancelled

Admission writes a run's hash. After that only the scripts in `shared/streams/scripts.py` write it,
which keep the state in step with the log.
"""

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from string import ascii_letters, digits
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.redis import keys
from shared.redis.client import Argument, Redis
from shared.redis.scripts import Arguments, Key, redis_script


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in _ENDS


_ENDS = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})


_ALPHABET = ascii_letters + digits


def new_run_id() -> str:
    """20 letters and digits, 119 random bits: a command must not take one for an option."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(20))


class Run(BaseModel):
    """A run as its hash holds it. Times are Unix milliseconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    chat_id: str
    owner: str
    #: The id of the assistant's message, the same on every replay and every connection.
    message_id: str
    agent: str
    model: str
    request_id: str
    #: The runs that have made this message so far, oldest first, with blanks between them.
    continues: str = ""
    #: The queue that its job stands in; a name, not a key.
    queue: str = keys.MAIN_QUEUE
    state: RunState = RunState.QUEUED
    #: How often a worker took the run over; the fence of the log.
    attempts: int = 0
    #: Attempts that ended in a failure that may be tried again.
    failures: int = 0
    #: Attempts that ended in a shutdown, and cost the run nothing.
    handovers: int = 0
    #: How often a stop was asked for; recorded before anybody is told.
    cancel: int = 0
    #: Why a failed run failed; a code of `worker/jobs/failures.py`.
    error: str | None = None
    #: Where its trace began, where there is one: W3C's `traceparent`.
    traceparent: str | None = None
    created_at: int = Field(default_factory=lambda: time.time_ns() // 1_000_000)
    started_at: int | None = None
    ended_at: int | None = None

    @property
    def earlier(self) -> tuple[str, ...]:
        """The runs that this one continues, oldest first."""
        return tuple(self.continues.split())

    def to_hash(self) -> dict[str, str]:
        fields = self.model_dump(mode="json", exclude_none=True)
        return {name: str(value) for name, value in fields.items()}

    def to_fields(self) -> list[str]:
        """Names and values by turns, as Redis takes them."""
        return [text for pair in self.to_hash().items() for text in pair]


class RunStore:
    """The runs' hashes in Redis."""

    def __init__(self, redis: Redis, *, live_ttl: float) -> None:
        self._redis = redis
        self._live_ttl_ms = int(live_ttl * 1000)

    async def create(self, run: Run) -> None:
        """Make a run, as if it were let in now. One that is there stays as it is."""
        await _create(
            self._redis,
            run=keys.run(run.id),
            ttl_ms=self._live_ttl_ms,
            fields=run.to_fields(),
        )

    async def forget(self, run_id: str) -> None:
        await self._redis.execute_command("DEL", keys.run(run_id))

    async def keep(self, run_ids: Iterable[str]) -> None:
        """Have runs and their logs live as long as one that is let in now."""
        names = [name(run_id) for run_id in run_ids for name in (keys.run, keys.stream)]
        await self._each([("PEXPIRE", name, self._live_ttl_ms) for name in names])

    async def states(self, run_ids: Sequence[str]) -> dict[str, RunState | None]:
        """The state of each; None if it is not kept."""
        found = await self._each([("HGET", keys.run(run_id), "state") for run_id in run_ids])
        states = [RunState(state.decode()) if state else None for state in found]
        return dict(zip(run_ids, states, strict=True))

    async def name_superseded(self, run_id: str, superseded: str) -> None:
        """Have a run say which one is to end for it."""
        await _set_field(self._redis, run=keys.run(run_id), field="supersedes", value=superseded)

    async def _each(self, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
        if not commands:
            return []
        async with self._redis.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return await pipe.execute()

    async def get(self, run_id: str) -> Run | None:
        return _run(await self._redis.execute_command("HGETALL", keys.run(run_id)))

    async def find(self, run_ids: Sequence[str]) -> dict[str, Run]:
        """Those of these runs that are known, in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for run_id in run_ids:
                pipe.execute_command("HGETALL", keys.run(run_id))
            found = [_run(fields) for fields in await pipe.execute()]
        return {run.id: run for run in found if run is not None}

    async def request_cancel(self, run_id: str) -> None:
        """Record the stop. Whoever writes to the log next is told."""
        await _cancel(self._redis, run=keys.run(run_id))

    async def count_failure(self, run_id: str, attempt: int) -> None:
        """Record that an attempt failed."""
        await self._count(run_id, attempt, "failures")

    async def count_handover(self, run_id: str, attempt: int) -> None:
        """Record that an attempt was handed over."""
        await self._count(run_id, attempt, "handovers")

    async def _count(self, run_id: str, attempt: int, field: str) -> None:
        await _count_end(self._redis, run=keys.run(run_id), counter=field, mark=f"end:{attempt}")

    async def hand_back(self, run_id: str) -> float | None:
        """The seconds since a worker first could not begin with the run; None if it has ended."""
        waited_ms = await _hand_back(self._redis, run=keys.run(run_id))
        return None if waited_ms is None else waited_ms / 1000

    async def record_usage(self, run_id: str, attempt: int, usage: str) -> None:
        """What an attempt has used so far; each attempt has a field of its own."""
        await _set_field(self._redis, run=keys.run(run_id), field=f"usage:{attempt}", value=usage)

    async def swap_trace(self, run_id: str, mine: str) -> str | None:
        """Leave how to tell of this attempt if it ends without a word; what the last one left.

        An attempt that tells of its own end leaves nothing.
        """
        left = await _swap_trace(self._redis, run=keys.run(run_id), trace=mine)
        return left.decode() if left else None

    async def usages(self, run_id: str) -> list[str]:
        """What each attempt has used."""
        fields: dict[bytes, bytes] = await self._redis.execute_command("HGETALL", keys.run(run_id))
        return [value.decode() for name, value in fields.items() if name.startswith(b"usage:")]


def _run(fields: Mapping[bytes, bytes]) -> Run | None:
    if b"id" not in fields:
        return None
    return Run.model_validate({k.decode(): v.decode() for k, v in fields.items()})


# These scripts do nothing if the run's hash has expired: writing would leave a fragment of it that
# has no TTL.
@redis_script("""
if redis.call('EXISTS', run) == 1 then redis.call('HINCRBY', run, 'cancel', 1) end
""")
def _cancel(*, run: Key) -> None: ...


@redis_script("""
if redis.call('EXISTS', run) == 1 then redis.call('HSET', run, field, value) end
""")
def _set_field(*, run: Key, field: str, value: str) -> None: ...


# An attempt ends once, even if the call is repeated.
@redis_script("""
if redis.call('EXISTS', run) == 1 and redis.call('HSETNX', run, mark, counter) == 1 then
  redis.call('HINCRBY', run, counter, 1)
end
""")
def _count_end(*, run: Key, counter: str, mark: str) -> None: ...


@redis_script("""
if redis.call('EXISTS', run) == 0 then return false end
local previous = redis.call('HGET', run, 'trace')
if trace == '' then redis.call('HDEL', run, 'trace')
else redis.call('HSET', run, 'trace', trace) end
return previous
""")
def _swap_trace(*, run: Key, trace: str) -> bytes | None: ...


# The time of the first hand-back is kept until the next attempt begins.
@redis_script("""
local state = redis.call('HGET', run, 'state')
if state ~= 'queued' and state ~= 'running' then return false end
local attempts = redis.call('HGET', run, 'attempts')
local now = now_ms()
local before, since = string.match(redis.call('HGET', run, 'unbegun') or '', '(%d+) (%d+)')
if before ~= attempts then
  since = now
  redis.call('HSET', run, 'unbegun', attempts .. ' ' .. string.format('%d', now))
end
return now - since
""")
def _hand_back(*, run: Key) -> int | None: ...


@redis_script("""
if redis.call('EXISTS', run) == 1 then return end
redis.call('HSET', run, 'let_in_at', string.format('%d', now_ms()), unpack(fields))
redis.call('PEXPIRE', run, ttl_ms)
""")
def _create(*, run: Key, ttl_ms: int, fields: Arguments) -> None: ...
