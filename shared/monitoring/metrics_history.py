"""The metrics of the last hour, with one sample every 5 seconds."""

from collections import deque
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.processes.counters import Counters
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Key, redis_script

SAMPLE_SECONDS = 5.0
SAMPLES_KEPT = 720
_HOUR_MS = 3_600_000
#: After a longer pause, the difference of counters is not a meaningful rate.
_PAUSE_MS = 60_000


class Sample(BaseModel):
    """The state of the deployment at one time.

    Times are Unix milliseconds by Redis's clock, durations milliseconds, rates per second.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: int
    waiting: int
    running: int
    deferred: int
    oldest_wait_ms: int
    workers: int
    #: Slots of all workers that are not draining.
    slots: int
    #: Clients that currently follow a run.
    clients: int
    #: Rates since the previous sample.
    accepted: float = 0.0
    succeeded: float = 0.0
    failed: float = 0.0
    cancelled: float = 0.0
    #: Attempts whose worker was lost.
    crashed: float = 0.0
    #: Output tokens.
    tokens: float = 0.0
    #: None if no run started, or produced a first token, since the previous sample.
    wait_p50_ms: float | None = None
    wait_p95_ms: float | None = None
    first_token_p50_ms: float | None = None
    first_token_p95_ms: float | None = None


class CounterBaseline(BaseModel):
    """The counters of all processes by process id at the time of a sample."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: int
    counters: dict[str, Counters]


class MetricsHistory:
    """The samples in Redis, and the election of the process that adds the next one."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_KEPT)
        self._last_id = b"-"

    async def try_become_leader(self, process_id: str) -> float:
        """Return 0.0 if this process became the leader, else the seconds until the next attempt."""
        left_ms = await _try_become_leader(
            self._redis,
            leader=keys.SAMPLE_LEADER,
            process_id=process_id,
            term_ms=int(SAMPLE_SECONDS * 1000),
        )
        return left_ms / 1000

    async def last_baseline(self) -> CounterBaseline | None:
        """Return the counters at the previous sample; None if there is no recent one."""
        text: bytes | None = await self._redis.execute_command("GET", keys.SAMPLE_COUNTERS)
        return CounterBaseline.model_validate_json(text) if text else None

    async def final_counters(self, process_ids: Sequence[str]) -> dict[str, Counters]:
        """Return the final counters of processes that shut down recently."""
        if not process_ids:
            return {}
        names = map(keys.final_counters, process_ids)
        texts: list[bytes | None] = await self._redis.execute_command("MGET", *names)
        found = zip(process_ids, texts, strict=True)
        return {
            process_id: Counters.model_validate_json(text) for process_id, text in found if text
        }

    async def add(self, sample: Sample, baseline: CounterBaseline, process_id: str) -> bool:
        """Add a sample as the leader. Return False if another process is the leader now."""
        added = await _add(
            self._redis,
            leader=keys.SAMPLE_LEADER,
            samples=keys.SAMPLES,
            counters=keys.SAMPLE_COUNTERS,
            process_id=process_id,
            sample_text=sample.model_dump_json(exclude_defaults=True),
            counters_text=baseline.model_dump_json(exclude_defaults=True),
            max_length=SAMPLES_KEPT,
            samples_ttl_ms=_HOUR_MS,
            counters_ttl_ms=_PAUSE_MS,
        )
        return bool(added)

    async def last_hour(self, now: int) -> tuple[Sample, ...]:
        """Return the samples of the hour before `now`, oldest first. Reads only new samples."""
        after = self._last_id if self._last_id == b"-" else b"(" + self._last_id
        rows: list[tuple[bytes, dict[bytes, bytes]]] = await self._redis.execute_command(
            "XRANGE", keys.SAMPLES, after, "+"
        )
        for entry_id, fields in rows:
            self._last_id = entry_id
            if (sample := _read(fields)) is not None:
                self._samples.append(sample)
        while self._samples and self._samples[0].at < now - _HOUR_MS:
            self._samples.popleft()
        return tuple(self._samples)


def _read(fields: Mapping[bytes, bytes]) -> Sample | None:
    """Return None for a sample of a newer version that this process cannot parse."""
    try:
        return Sample.model_validate_json(fields.get(b"sample", b""))
    except ValidationError:
        return None


# Returns 0 if the process became the leader, else the milliseconds until the next term.
@redis_script("""
if redis.call('SET', leader, process_id, 'NX', 'PX', term_ms) then return 0 end
return math.max(1, redis.call('PTTL', leader))
""")
def _try_become_leader(*, leader: Key, process_id: str, term_ms: int) -> int: ...


# Adds a sample, and replaces the counters that the next one is compared with. Returns 0 if another
# process leads now.
@redis_script("""
if redis.call('GET', leader) ~= process_id then return 0 end
redis.call('XADD', samples, 'MAXLEN', '=', max_length, '*', 'sample', sample_text)
redis.call('PEXPIRE', samples, samples_ttl_ms)
redis.call('SET', counters, counters_text, 'PX', counters_ttl_ms)
return 1
""")
def _add(
    *,
    leader: Key,
    samples: Key,
    counters: Key,
    process_id: str,
    sample_text: str,
    counters_text: str,
    max_length: int,
    samples_ttl_ms: int,
    counters_ttl_ms: int,
) -> int: ...
