"""Pauses: operators stop a queue, or all queues, from accepting runs or from starting them.

- While the *intake* is paused, admission refuses new runs. Accepted runs continue.
- While the *processing* is paused, workers do not start the runs that wait in fair order. Runs that
  have started continue, also on another worker, and a run that an operator requeues starts.

A pause lasts until an operator ends it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.queue.queue_depth import queues_with_jobs
from shared.queue.wakeups import PUSH_WAKEUP
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Key, Keys, redis_script

Pausable = Literal["intake", "processing"]

#: Each read of the pauses extends their TTL, so they expire only with the deployment.
_TTL_MS = 30 * 86_400_000
_CHANGES_TTL_MS = 86_400_000
_MAX_CHANGES = 100

#: Lua function: returns whether the intake or the processing of the queue with this key is paused.
IS_PAUSED = f"""
local function is_paused(what, queue)
  local of_all, of_queue = unpack(redis.call('HMGET', '{keys.PAUSES}', what, what .. ' ' .. queue))
  return (of_all or of_queue) and true or false
end
"""


class QueuePause(BaseModel):
    """What an operator has paused, in one queue or, without a name, in all of them."""

    model_config = ConfigDict(frozen=True)

    what: Pausable
    queue: str | None
    #: In Unix milliseconds by Redis's clock.
    at: int
    operator: str

    def applies_to(self, what: Pausable, queue: str) -> bool:
        return self.what == what and self.queue in (None, queue)

    def __str__(self) -> str:
        return describe(self.what, self.queue)


class PauseChange(BaseModel):
    """The start or the end of a pause."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    paused: bool
    what: Pausable
    queue: str | None
    operator: str


def describe(what: Pausable, queue: str | None) -> str:
    return f"the {what} of " + ("all queues" if queue is None else f"the queue {queue}")


class Pauses:
    """Reads, begins and ends pauses. The processes of the deployment log each change."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(self) -> tuple[QueuePause, ...]:
        """Return the pauses, oldest first."""
        reply = await _read(self._redis, pauses=keys.PAUSES, ttl_ms=_TTL_MS)
        texts = [text.decode(errors="replace") for text in reply]
        pairs = zip(texts[::2], texts[1::2], strict=True)
        found = [pause for field, value in pairs if (pause := _parse(field, value)) is not None]
        return tuple(sorted(found, key=lambda pause: pause.at))

    async def begin(self, what: Pausable, queue: str | None, *, operator: str) -> bool:
        """Pause one queue, or all. Returns False if this pause exists already."""
        begun = await _begin(
            self._redis,
            pauses=keys.PAUSES,
            changes=keys.PAUSE_CHANGES,
            field=_field(what, queue),
            operator=operator,
            change=_change(what, queue, operator, paused=True),
            ttl_ms=_TTL_MS,
            changes_ttl_ms=_CHANGES_TTL_MS,
            max_changes=_MAX_CHANGES,
        )
        return bool(begun)

    async def end(self, what: Pausable, queue: str | None, *, operator: str) -> bool:
        """End a pause, and wake a worker of each of these queues. Returns False if there is none.

        The end of a pause of all queues leaves those of single queues unchanged.
        """
        queues = await queues_with_jobs(self._redis) if queue is None else [queue]
        ended = await _end(
            self._redis,
            pauses=keys.PAUSES,
            changes=keys.PAUSE_CHANGES,
            wakeups=[keys.wakeup(keys.queue(name)) for name in queues],
            field=_field(what, queue),
            change=_change(what, queue, operator, paused=False),
            changes_ttl_ms=_CHANGES_TTL_MS,
            max_changes=_MAX_CHANGES,
        )
        return bool(ended)

    async def take_changes(self) -> list[PauseChange]:
        """Return the changes that no process has taken yet, oldest first."""
        changes: list[PauseChange] = []
        for text in await _take(self._redis, changes=keys.PAUSE_CHANGES):
            try:
                changes.append(PauseChange.model_validate_json(text))
            except ValidationError:
                continue
        return changes


def _field(what: Pausable, queue: str | None) -> str:
    return what if queue is None else f"{what} {keys.queue(queue)}"


def _parse(field: str, value: str) -> QueuePause | None:
    """Return a stored pause, or None if it is of a newer version."""
    what, _, queue = field.partition(" ")
    at, _, operator = value.partition(" ")
    try:
        return QueuePause.model_validate(
            {
                "what": what,
                "queue": keys.queue_name(queue) if queue else None,
                "at": at,
                "operator": operator,
            }
        )
    except ValidationError:
        return None


def _change(what: Pausable, queue: str | None, operator: str, *, paused: bool) -> str:
    change = PauseChange(paused=paused, what=what, queue=queue, operator=operator)
    return change.model_dump_json()


@redis_script("""
if redis.call('EXISTS', pauses) == 1 then redis.call('PEXPIRE', pauses, ttl_ms) end
return redis.call('HGETALL', pauses)
""")
def _read(*, pauses: Key, ttl_ms: int) -> list[bytes]: ...


_ADD_CHANGE = """
local function add_change()
  redis.call('RPUSH', changes, change)
  redis.call('LTRIM', changes, -max_changes, -1)
  redis.call('PEXPIRE', changes, changes_ttl_ms)
end
"""


@redis_script(
    _ADD_CHANGE,
    """
local entry = string.format('%.0f', now_ms()) .. ' ' .. operator
if redis.call('HSETNX', pauses, field, entry) == 0 then return 0 end
redis.call('PEXPIRE', pauses, ttl_ms)
add_change()
return 1
""",
    when_full=True,
)
def _begin(
    *,
    pauses: Key,
    changes: Key,
    field: str,
    operator: str,
    change: str,
    ttl_ms: int,
    changes_ttl_ms: int,
    max_changes: int,
) -> int: ...


# A worker that finds more waiting jobs wakes the next one.
@redis_script(
    _ADD_CHANGE,
    PUSH_WAKEUP,
    """
if redis.call('HDEL', pauses, field) == 0 then return 0 end
add_change()
for _, wakeup in ipairs(wakeups) do push_wakeup(wakeup) end
return 1
""",
    when_full=True,
)
def _end(
    *,
    pauses: Key,
    changes: Key,
    wakeups: Keys,
    field: str,
    change: str,
    changes_ttl_ms: int,
    max_changes: int,
) -> int: ...


@redis_script(
    """
local taken = redis.call('LRANGE', changes, 0, -1)
redis.call('DEL', changes)
return taken
""",
    when_full=True,
)
def _take(*, changes: Key) -> list[bytes]: ...
