"""Pauses: operators stop a queue, or all queues, from accepting runs or from starting them.

- While the *intake* is paused, admission refuses new runs. Accepted runs continue.
- While the *processing* is paused, workers do not start the runs that wait in fair order. Runs that
  have started continue, also on another worker, and a run that an operator requeues starts.

A pause lasts until an operator ends it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.queue.operator_actions import ADD_ACTION, ActionEvent, OperatorAction
from shared.queue.queue_depth import queues_with_jobs
from shared.queue.wakeups import PUSH_WAKEUP
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Key, Keys, redis_script

Pausable = Literal["intake", "processing"]

#: Each read of the pauses extends their TTL, so they expire only with the deployment.
_TTL_MS = 30 * 86_400_000

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
            actions=keys.OPERATOR_ACTIONS,
            field=_field(what, queue),
            operator=operator,
            action=_action("queue.paused", what, queue, operator),
            ttl_ms=_TTL_MS,
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
            actions=keys.OPERATOR_ACTIONS,
            wakeups=[keys.wakeup(keys.queue(name)) for name in queues],
            field=_field(what, queue),
            action=_action("queue.resumed", what, queue, operator),
        )
        return bool(ended)


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


def _action(event: ActionEvent, what: Pausable, queue: str | None, operator: str) -> str:
    fields = {"what": what, "queue": queue}
    return OperatorAction(event=event, operator=operator, fields=fields).model_dump_json()


#: Lua that keeps a list of one entry for each pause of a processing: KEDA can read the length of a
#: list, but no field of a hash. `marker_of` returns its key, or nil for the pause of an intake.
_MARKER = f"""
local function marker_of(field)
  local what, queue = string.match(field, '^(%S+) ?(.*)$')
  if what ~= 'processing' then return end
  return queue == '' and '{keys.PROCESSING_PAUSED}'
    or string.format('{keys.processing_paused("%s")}', queue)
end
"""


@redis_script(
    _MARKER,
    """
if redis.call('EXISTS', pauses) == 0 then return {} end
redis.call('PEXPIRE', pauses, ttl_ms)
local found = redis.call('HGETALL', pauses)
for i = 1, #found, 2 do
  local marker = marker_of(found[i])
  if marker then redis.call('PEXPIRE', marker, ttl_ms) end
end
return found
""",
)
def _read(*, pauses: Key, ttl_ms: int) -> list[bytes]: ...


@redis_script(
    ADD_ACTION,
    _MARKER,
    """
local entry = string.format('%.0f', now_ms()) .. ' ' .. operator
if redis.call('HSETNX', pauses, field, entry) == 0 then return 0 end
redis.call('PEXPIRE', pauses, ttl_ms)
local marker = marker_of(field)
if marker then
  redis.call('RPUSH', marker, '1')
  redis.call('PEXPIRE', marker, ttl_ms)
end
add_action()
return 1
""",
    when_full=True,
)
def _begin(
    *,
    pauses: Key,
    actions: Key,
    field: str,
    operator: str,
    action: str,
    ttl_ms: int,
) -> int: ...


# A worker that finds more waiting jobs wakes the next one.
@redis_script(
    ADD_ACTION,
    _MARKER,
    PUSH_WAKEUP,
    """
if redis.call('HDEL', pauses, field) == 0 then return 0 end
local marker = marker_of(field)
if marker then redis.call('DEL', marker) end
add_action()
for _, wakeup in ipairs(wakeups) do push_wakeup(wakeup) end
return 1
""",
    when_full=True,
)
def _end(
    *,
    pauses: Key,
    actions: Key,
    wakeups: Keys,
    field: str,
    action: str,
) -> int: ...
