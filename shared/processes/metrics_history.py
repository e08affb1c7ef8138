"""The metrics of the last hour, one sample every few seconds."""

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
#: After a longer pause what was counted meanwhile is nobody's rate.
_PAUSE_MS = 60_000


class Sample(BaseModel):
    """The house at one time. Times are Unix ms by Redis' clock, spans ms, rates per second."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: int
    waiting: int
    running: int
    deferred: int
    oldest_wait_ms: int
    workers: int
    #: Runs that the workers that do not drain take at most.
    places: int
    #: Clients that follow a run.
    clients: int
    #: Since the sample before.
    accepted: float = 0.0
    succeeded: float = 0.0
    failed: float = 0.0
    cancelled: float = 0.0
    #: Output tokens.
    tokens: float = 0.0
    #: None: no run began, or spoke, since the sample before.
    wait_p50_ms: float | None = None
    wait_p95_ms: float | None = None
    first_token_p50_ms: float | None = None
    first_token_p95_ms: float | None = None


class CounterBaseline(BaseModel):
    """What the processes had counted, by their ids, when a sample was made."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: int
    totals: dict[str, Counters]


class MetricsHistory:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._known: deque[Sample] = deque(maxlen=SAMPLES_KEPT)
        self._last_id = b"-"

    async def try_become_leader(self, process_id: str) -> float:
        """0.0 where the turn is this process' now, else the seconds until the next."""
        left_ms = await _try_become_leader(
            self._redis,
            leader=keys.SAMPLE_LEADER,
            process_id=process_id,
            term_ms=int(SAMPLE_SECONDS * 1000),
        )
        return left_ms / 1000

    async def last_baseline(self) -> CounterBaseline | None:
        """What was seen at the sample before; None where there was none lately."""
        text: bytes | None = await self._redis.execute_command("GET", keys.SAMPLE_COUNTERS)
        return CounterBaseline.model_validate_json(text) if text else None

    async def final_counters(self, process_ids: Sequence[str]) -> dict[str, Counters]:
        """The last word of those that have left in good order, and not long ago."""
        if not process_ids:
            return {}
        names = map(keys.final_counters, process_ids)
        texts: list[bytes | None] = await self._redis.execute_command("MGET", *names)
        found = zip(process_ids, texts, strict=True)
        return {one: Counters.model_validate_json(text) for one, text in found if text}

    async def add(self, sample: Sample, baseline: CounterBaseline, process_id: str) -> bool:
        """Add the sample of this process' turn. False if another has the turn by now."""
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
        """The samples of the hour before `now`, the oldest first; only new ones are read."""
        after = self._last_id if self._last_id == b"-" else b"(" + self._last_id
        rows: list[tuple[bytes, dict[bytes, bytes]]] = await self._redis.execute_command(
            "XRANGE", keys.SAMPLES, after, "+"
        )
        for entry_id, fields in rows:
            self._last_id = entry_id
            if (sample := _read(fields)) is not None:
                self._known.append(sample)
        while self._known and self._known[0].at < now - _HOUR_MS:
            self._known.popleft()
        return tuple(self._known)


def _read(fields: Mapping[bytes, bytes]) -> Sample | None:
    """None of what a newer process wrote, and this one cannot read."""
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
