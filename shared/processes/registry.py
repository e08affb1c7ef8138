"""Registries of live processes. Each process renews its own record; others read the records.

A process that stops renewing its record counts as gone after `ALIVE_SECONDS`. The record is kept a
while longer, to describe a process that vanished (`vanished.py`). A process that shuts down
deregisters at once, and its final counters are kept for the next sample.
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Generic, TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.background_task import BackgroundTask
from shared.backoff import Backoff
from shared.processes.clock_repair import CLOCK_REPAIR
from shared.processes.counters import CounterReader, Counters
from shared.processes.health_file import HealthFile, Role
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis, RedisError
from shared.redis.scripts import Key, redis_script

log = structlog.stdlib.get_logger()

#: A process is alive for this time after it renewed its record. It does so three times within it.
ALIVE_SECONDS = 6.0
#: How long the ids and records of processes are kept at most after their last renewal.
KEPT_MS = 3_600_000
#: Time to live of final counters: longer than the interval of samples.
_FINAL_COUNTERS_TTL_MS = 15_000
#: Between two renewals, and between two writes of the health file.
_RENEWAL_INTERVAL_SECONDS = ALIVE_SECONDS / 3
_DEREGISTER_SECONDS = 1.0
_RENEW_SECONDS = 5.0


class ProcessRecord(BaseModel):
    """The last record of a process. `started_at` is in Unix milliseconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    host: str
    pid: int
    started_at: int
    #: Uptime in milliseconds, which does not depend on synchronized clocks.
    up_ms: int = 0
    #: Counters since the start of the process.
    counters: Counters = Field(default_factory=Counters)


RecordT = TypeVar("RecordT", bound=ProcessRecord)


class ProcessRegistry(Generic[RecordT]):
    """The live processes of one kind."""

    #: Key of a sorted set: process ids by the time their records expire.
    members: ClassVar[str]
    role: ClassVar[Role]
    record: type[RecordT]

    def __init__(self, redis: Redis, *, alive_seconds: float = ALIVE_SECONDS) -> None:
        self._redis = redis
        self._alive_ms = int(alive_seconds * 1000)

    def key(self, member_id: str) -> str:
        """Return the Redis key of a process's record."""
        raise NotImplementedError

    async def renew(self, record: RecordT) -> None:
        """Store the record and extend its time to live."""
        set_back_ms = await _renew(
            self._redis,
            members=self.members,
            record=self.key(record.id),
            process_id=record.id,
            text=record.model_dump_json(),
            alive_ms=self._alive_ms,
            kept_ms=KEPT_MS,
        )
        if set_back_ms:
            log.warning(
                "redis.clock_set_back",
                message="The clock of Redis was set back; due times and leases were corrected",
                seconds=round(set_back_ms / 1000),
            )

    async def deregister(self, record: RecordT) -> None:
        """Remove the record and store the final counters."""
        left = keys.final_counters(record.id)
        counters = record.counters.model_dump_json()
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.execute_command("ZREM", self.members, record.id)
            pipe.execute_command("DEL", self.key(record.id))
            pipe.execute_command("SET", left, counters, "PX", _FINAL_COUNTERS_TTL_MS)
            await pipe.execute()

    async def alive(self) -> list[RecordT]:
        """Return the records of live processes, oldest process first.

        Skips records of a newer version that this process cannot parse.
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
    """The id of this process, and the fields that the records of all processes share."""

    def __init__(self) -> None:
        self._host, self._pid = socket.gethostname(), os.getpid()
        #: Unique among all processes of the deployment.
        self.id = f"{self._host}-{self._pid}-{secrets.token_hex(3)}"
        self._started_at, self._began = time.time_ns() // 1_000_000, time.monotonic()
        self._counted = CounterReader()

    async def record(self) -> ProcessRecord:
        """Return the current record. Reads the counters in a thread, as it takes milliseconds."""
        counters = await asyncio.to_thread(self._counted.read)
        return ProcessRecord(
            id=self.id,
            host=self._host,
            pid=self._pid,
            started_at=self._started_at,
            up_ms=round((time.monotonic() - self._began) * 1000),
            counters=counters,
        )


class ProcessHeartbeat(BackgroundTask, Generic[RecordT]):
    """Renews the record of this process while the context is active, then deregisters."""

    def __init__(
        self,
        registry: ProcessRegistry[RecordT],
        identity: ProcessIdentity,
        describe: Callable[[ProcessRecord], RecordT],
    ) -> None:
        self._registry = registry
        self._identity = identity
        #: Adds the fields of this kind of process.
        self._describe = describe
        self._health = HealthFile(registry.role)
        self._health_backoff = Backoff(_RENEWAL_INTERVAL_SECONDS, _RENEWAL_INTERVAL_SECONDS)
        self._last_contact: float | None = None
        self._tried = asyncio.Event()

    async def wait_for_first_renewal(self) -> None:
        """Wait until this process is registered, or until the first try has failed."""
        await self._tried.wait()

    async def __aexit__(self, *exc_info: object) -> None:
        await super().__aexit__(*exc_info)
        self._health.remove()
        with suppress(*REDIS_UNAVAILABLE, RedisError, TimeoutError):
            async with asyncio.timeout(_DEREGISTER_SECONDS):
                await self._registry.deregister(self._describe(await self._identity.record()))

    async def _run(self) -> None:
        while True:
            try:
                with suppress(*REDIS_UNAVAILABLE, RedisError, TimeoutError):
                    async with asyncio.timeout(_RENEW_SECONDS):
                        await self._registry.renew(self._describe(await self._identity.record()))
                    self._last_contact = time.monotonic()
            finally:
                self._tried.set()
            self._write_health_file()
            await asyncio.sleep(_RENEWAL_INTERVAL_SECONDS)

    def _write_health_file(self) -> None:
        if self._last_contact is None:
            return
        try:
            self._health.write(last_contact=self._last_contact)
        except OSError as error:
            self._health_backoff.failed()
            if self._health_backoff.should_log():
                log.warning(
                    "process.health_file_failed",
                    message="The file for `mamba probe` cannot be written",
                    error=str(error),
                )
        else:
            self._health_backoff.succeeded()


# A member's score is the time, by the clock of Redis, at which it counts as gone. Returns by how
# much the clock was set back.
@redis_script(
    CLOCK_REPAIR,
    """
local now = now_ms()
local set_back = repair_clock(members, now, alive_ms)
redis.call('ZREMRANGEBYSCORE', members, '-inf', now - kept_ms)
redis.call('ZADD', members, now + alive_ms, process_id)
redis.call('SET', record, text, 'PX', kept_ms)
redis.call('PEXPIRE', members, kept_ms)
return set_back
""",
    when_full=True,
)
def _renew(
    *, members: Key, record: Key, process_id: str, text: str, alive_ms: int, kept_ms: int
) -> int: ...


# Returns the records of all members that are alive.
@redis_script("""
local records = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', members, now_ms(), '+inf')) do
  records[#records + 1] = redis.call('GET', string.format(record_format, id)) or nil
end
return records
""")
def _alive(*, members: Key, record_format: str) -> list[bytes]: ...
