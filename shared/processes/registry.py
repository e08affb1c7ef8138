"""Who is there: each process renews a record of itself, the others read them.

A process that stops renewing is gone from the list when its time is over, whatever became of it.
One that leaves in good order is gone at once; what it counted is kept until the next sample.
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.background_task import BackgroundTask
from shared.processes.counters import CounterReader, Counters
from shared.redis import keys
from shared.redis.client import REDIS_AWAY, Redis, RedisError
from shared.redis.scripts import Key, redis_script

#: How long a process counts as alive after its last renewal; it renews each third of it.
ALIVE_SECONDS = 6.0
#: How long the totals of one that has left are kept: for more than one sample.
_TOTALS_KEPT_MS = 15_000
_LEAVE_SECONDS = 1.0


class ProcessRecord(BaseModel):
    """A process as it last described itself. `started_at` is Unix milliseconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    host: str
    pid: int
    started_at: int
    #: How long it had been up when it said so, in ms: clocks may differ, this does not.
    up_ms: int = 0
    #: What it has counted since it started.
    totals: Counters = Field(default_factory=Counters)


RecordT = TypeVar("RecordT", bound=ProcessRecord)


class ProcessRegistry(Generic[RecordT]):
    """The processes of one kind that are alive."""

    #: Sorted set: their ids, by when they count as gone.
    members: ClassVar[str]
    record: type[RecordT]

    def __init__(self, redis: Redis, *, alive_seconds: float = ALIVE_SECONDS) -> None:
        self._redis = redis
        self._alive_ms = int(alive_seconds * 1000)

    def key(self, member_id: str) -> str:
        """Where the record of a process stands."""
        raise NotImplementedError

    async def renew(self, record: RecordT) -> None:
        """Be alive, as described, for a while."""
        await _renew(
            self._redis,
            members=self.members,
            record=self.key(record.id),
            process_id=record.id,
            text=record.model_dump_json(),
            alive_ms=self._alive_ms,
        )

    async def deregister(self, record: RecordT) -> None:
        """Be gone at once, with a last word on what was counted."""
        left = keys.final_counters(record.id)
        totals = record.totals.model_dump_json()
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.execute_command("ZREM", self.members, record.id)
            pipe.execute_command("DEL", self.key(record.id))
            pipe.execute_command("SET", left, totals, "PX", _TOTALS_KEPT_MS)
            await pipe.execute()

    async def alive(self) -> list[RecordT]:
        """The records of all that are alive, the longest-serving first.

        What a newer process says, and this one cannot read, is passed over.
        """
        texts = await _alive(self._redis, members=self.members, record_format=self.key("%s"))
        records = [record for text in texts if (record := self._read(text)) is not None]
        return sorted(records, key=lambda record: (record.started_at, record.id))

    def _read(self, text: bytes) -> RecordT | None:
        try:
            return self.record.model_validate_json(text)
        except ValidationError:
            return None


class ProcessIdentity:
    """What a process says of itself whatever it does."""

    def __init__(self) -> None:
        self._host, self._pid = socket.gethostname(), os.getpid()
        #: Names this process among all that there are.
        self.id = f"{self._host}-{self._pid}-{secrets.token_hex(3)}"
        self._started_at, self._began = time.time_ns() // 1_000_000, time.monotonic()
        self._counted = CounterReader()

    async def record(self) -> ProcessRecord:
        """As it is now. A thread adds up what was counted: it is milliseconds for many labels."""
        totals = await asyncio.to_thread(self._counted.read)
        return ProcessRecord(
            id=self.id,
            host=self._host,
            pid=self._pid,
            started_at=self._started_at,
            up_ms=round((time.monotonic() - self._began) * 1000),
            totals=totals,
        )


class ProcessHeartbeat(BackgroundTask, Generic[RecordT]):
    """Renews a record for as long as the context lasts, and takes it back at its end."""

    def __init__(
        self,
        registry: ProcessRegistry[RecordT],
        identity: ProcessIdentity,
        describe: Callable[[ProcessRecord], RecordT],
    ) -> None:
        self._register = registry
        self._identity = identity
        #: Adds what it is that this process does.
        self._describe = describe

    async def __aexit__(self, *exc_info: object) -> None:
        await super().__aexit__(*exc_info)
        with suppress(*REDIS_AWAY, RedisError, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._register.deregister(self._describe(await self._identity.record()))

    async def _run(self) -> None:
        while True:
            with suppress(*REDIS_AWAY, RedisError):
                await self._register.renew(self._describe(await self._identity.record()))
            await asyncio.sleep(ALIVE_SECONDS / 3)


# A member's score is the time, by the clock of Redis, at which it counts as gone.
@redis_script("""
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', members, '-inf', now)
redis.call('ZADD', members, now + alive_ms, process_id)
redis.call('SET', record, text, 'PX', alive_ms)
if redis.call('PTTL', members) < alive_ms then redis.call('PEXPIRE', members, alive_ms) end
""")
def _renew(*, members: Key, record: Key, process_id: str, text: str, alive_ms: int) -> None: ...


# Returns the records of all members that are alive.
@redis_script("""
local records = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', members, now_ms(), '+inf')) do
  records[#records + 1] = redis.call('GET', string.format(record_format, id)) or nil
end
return records
""")
def _alive(*, members: Key, record_format: str) -> list[bytes]: ...
