"""The hashes of runs in Redis."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from shared.redis import keys
from shared.redis.client import Argument, Redis
from shared.redis.numbers import whole_number
from shared.redis.scripts import Arguments, Key, redis_script
from shared.runs.run import Run
from shared.streams.run_state import RunState


class RunStore:
    """Creates, reads and changes the hashes of runs."""

    def __init__(self, redis: Redis, *, live_ttl: float) -> None:
        self._redis = redis
        self._live_ttl_ms = int(live_ttl * 1000)

    async def create(self, run: Run) -> None:
        """Store a run as admitted now. An existing run stays unchanged."""
        await _create(
            self._redis,
            run=keys.run(run.id),
            ttl_ms=self._live_ttl_ms,
            fields=hash_fields(run),
        )

    async def delete(self, run_id: str) -> None:
        await self._redis.execute_command("DEL", keys.run(run_id))

    async def erase(self, run_ids: Iterable[str]) -> None:
        """Delete runs and their streams."""
        names = [name(run_id) for run_id in run_ids for name in (keys.stream, keys.run)]
        await self._pipeline([("DEL", name) for name in names])

    async def extend_ttl(self, run_ids: Iterable[str]) -> None:
        """Keep runs and their streams as long as a run admitted now."""
        names = [name(run_id) for run_id in run_ids for name in (keys.run, keys.stream)]
        await self._pipeline([("PEXPIRE", name, self._live_ttl_ms) for name in names])

    async def states(self, run_ids: Sequence[str]) -> dict[str, RunState | None]:
        """Return the state of each run, or None if it is no longer stored."""
        found = await self._pipeline([("HGET", keys.run(run_id), "state") for run_id in run_ids])
        states = [RunState(state.decode()) if state else None for state in found]
        return dict(zip(run_ids, states, strict=True))

    async def record_superseded(self, run_id: str, superseded: str) -> None:
        """Store in a run which others it supersedes: their ids, separated by spaces."""
        await _set_field(self._redis, run=keys.run(run_id), field="supersedes", value=superseded)

    async def record_waits_for(self, run_id: str, live: str) -> None:
        """Store in a run which live runs of its chat it waits for, like `record_superseded`."""
        await _set_field(self._redis, run=keys.run(run_id), field="waits_for", value=live)

    async def get(self, run_id: str) -> Run | None:
        return _run_of(await self.fields(run_id))

    async def get_with_fields(self, run_id: str) -> tuple[Run, dict[str, str]] | None:
        """Return a run and all fields of its hash, from one read."""
        fields = await self.fields(run_id)
        run = _run_of(fields)
        return None if run is None else (run, fields)

    async def get_many(self, run_ids: Sequence[str]) -> dict[str, Run]:
        """Return those of the runs that exist, by id, in one round trip."""
        found = await self._pipeline([("HGETALL", keys.run(run_id)) for run_id in run_ids])
        return {run.id: run for run in map(_run_of, map(_texts, found)) if run is not None}

    async def record_upstream(self, run_id: str, attempt: int, error: str) -> None:
        """Store the status, code, type, and parameter of the model server's last error.

        Does nothing if a later attempt has taken over the run.
        """
        await _record_upstream(self._redis, run=keys.run(run_id), attempt=attempt, upstream=error)

    async def fields(self, run_id: str) -> dict[str, str]:
        """Return all fields of a run's hash."""
        found: dict[bytes, bytes] = await self._redis.execute_command("HGETALL", keys.run(run_id))
        return _texts(found)

    async def fields_of(
        self, run_ids: Sequence[str], names: Sequence[str]
    ) -> dict[str, list[str | None]]:
        """Return the values of these fields of each run, in one round trip."""
        found = await self._pipeline([("HMGET", keys.run(run_id), *names) for run_id in run_ids])
        rows = [
            [None if value is None else value.decode(errors="replace") for value in values]
            for values in found
        ]
        return dict(zip(run_ids, rows, strict=True))

    async def request_stop(self, run_id: str) -> None:
        """Store a stop request. The next append to the stream reports it to the writer."""
        await _request_stop(self._redis, run=keys.run(run_id))

    async def count_failure(self, run_id: str, attempt: int, code: str = "") -> None:
        """Count an attempt as failed, unless its end was recorded before."""
        await self._record_end(run_id, attempt, "failed", code=code, counter="failures")

    async def count_handover(self, run_id: str, attempt: int) -> None:
        """Count an attempt as handed over, unless its end was recorded before."""
        await self._record_end(run_id, attempt, "handed_over", counter="handovers")

    async def record_broken(self, run_id: str, attempt: int) -> None:
        """Record that an attempt ended in an unexpected error. It counts like a crash."""
        await self._record_end(run_id, attempt, "broken")

    async def _record_end(
        self, run_id: str, attempt: int, outcome: str, *, code: str = "", counter: str = ""
    ) -> None:
        await _write_end(
            self._redis,
            run=keys.run(run_id),
            field=f"end:{attempt}",
            outcome=outcome,
            code=code,
            counter=counter,
        )

    async def hand_back(self, run_id: str) -> float | None:
        """Record that a worker handed the run back without an attempt.

        Returns the seconds since the first such hand-back, or None if the run has ended.
        """
        waited_ms = await _hand_back(self._redis, run=keys.run(run_id))
        return None if waited_ms is None else waited_ms / 1000

    async def record_mover(self, run_id: str, operator: str) -> None:
        """Store the operator who moved the run to the front of its queue."""
        await _set_field(self._redis, run=keys.run(run_id), field="moved_by", value=operator)

    async def usages(self, run_id: str) -> dict[int, str]:
        """Return what each attempt has used, by its number."""
        fields = await self.fields(run_id)
        split = ((name.partition(":"), usage) for name, usage in fields.items())
        return {
            number: usage
            for (kind, _, suffix), usage in split
            if kind == "usage" and (number := whole_number(suffix)) is not None
        }

    async def swap_trace(self, run_id: str, attempt: int, mine: str) -> str | None:
        """Store this attempt's span data and return the data of the previous attempt.

        An attempt that reports its own end stores an empty string, which removes the data. Does
        nothing if a later attempt has taken over the run.
        """
        previous = await _swap_trace(self._redis, run=keys.run(run_id), attempt=attempt, trace=mine)
        return previous.decode() if previous else None

    async def _pipeline(self, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
        if not commands:
            return []
        async with self._redis.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return await pipe.execute()


def hash_fields(run: Run) -> list[str]:
    """Return the run's hash as alternating names and values."""
    fields = run.model_dump(mode="json", exclude_none=True, exclude={"admitted_at"})
    fields["continues"] = " ".join(run.continues)
    return [text for name, value in fields.items() for text in (name, str(value))]


def _run_of(fields: Mapping[str, str]) -> Run | None:
    """Return None for a hash that does not describe a run."""
    if "id" not in fields:
        return None
    try:
        return Run.model_validate({**fields, "continues": fields.get("continues", "").split()})
    except ValidationError:
        return None


def _texts(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """Decode a hash. Invalid UTF-8, which Mamba never writes, is replaced."""
    return {n.decode(errors="replace"): v.decode(errors="replace") for n, v in fields.items()}


# These scripts do nothing if the run's hash has expired: writing would leave a fragment of it that
# has no TTL.
@redis_script(
    """
if redis.call('EXISTS', run) == 1 then redis.call('HINCRBY', run, 'stop_requests', 1) end
""",
    when_full=True,
)
def _request_stop(*, run: Key) -> None: ...


@redis_script(
    """
if redis.call('EXISTS', run) == 1 then redis.call('HSET', run, field, value) end
""",
    when_full=True,
)
def _set_field(*, run: Key, field: str, value: str) -> None: ...


# An attempt ends once, even if the call is repeated. The field holds its outcome, code and end.
@redis_script(
    """
if redis.call('EXISTS', run) == 0 then return end
local text = table.concat({outcome, code, string.format('%d', now_ms())}, ' ')
if redis.call('HSETNX', run, field, text) == 1 and counter ~= '' then
  redis.call('HINCRBY', run, counter, 1)
end
""",
    when_full=True,
)
def _write_end(*, run: Key, field: str, outcome: str, code: str, counter: str) -> None: ...


#: Lua that ends the script if the run's hash has expired, or if the attempt is not the newest one.
_CHECK_ATTEMPT = """
if tonumber(redis.call('HGET', run, 'attempts')) ~= attempt then return false end
"""


@redis_script(
    _CHECK_ATTEMPT,
    "redis.call('HSET', run, 'upstream', upstream)",
    when_full=True,
)
def _record_upstream(*, run: Key, attempt: int, upstream: str) -> None: ...


@redis_script(
    _CHECK_ATTEMPT,
    """
local previous = redis.call('HGET', run, 'trace')
if trace == '' then redis.call('HDEL', run, 'trace')
else redis.call('HSET', run, 'trace', trace) end
return previous
""",
    when_full=True,
)
def _swap_trace(*, run: Key, attempt: int, trace: str) -> bytes | None: ...


# The time of the first hand-back is kept until the next attempt begins.
@redis_script(
    """
local state = redis.call('HGET', run, 'state')
if state ~= 'queued' and state ~= 'running' then return false end
local attempts = redis.call('HGET', run, 'attempts')
local now = now_ms()
local before, since = string.match(redis.call('HGET', run, 'handed_back') or '', '(%d+) (%d+)')
if before ~= attempts then
  since = now
  redis.call('HSET', run, 'handed_back', attempts .. ' ' .. string.format('%d', now))
end
return now - since
""",
    when_full=True,
)
def _hand_back(*, run: Key) -> int | None: ...


@redis_script("""
if redis.call('EXISTS', run) == 1 then return end
redis.call('HSET', run, 'admitted_at', string.format('%d', now_ms()), unpack(fields))
redis.call('PEXPIRE', run, ttl_ms)
""")
def _create(*, run: Key, ttl_ms: int, fields: Arguments) -> None: ...
