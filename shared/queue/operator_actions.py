"""The actions of operators that no process of the deployment has logged yet.

A command in a terminal does not write to the deployment's log, so it stores each of its actions in
a list in Redis. One process takes the list and logs the actions.
"""

from typing import Literal

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Key, redis_script

log = structlog.stdlib.get_logger()

ActionEvent = Literal[
    "ops.chat_erased",
    "ops.run_moved_to_front",
    "ops.run_requeued",
    "ops.run_stopped",
    "ops.webhook_resent",
    "ops.worker_drained",
    "queue.paused",
    "queue.resumed",
]

#: Log fields that an action can have, beside the operator.
_FIELDS = frozenset({"chat", "destination", "owner", "queue", "run_id", "what", "worker_id"})

_TTL_MS = 86_400_000
#: If there are more actions, the oldest are dropped. One command can stop thousands of runs.
_MAX_ACTIONS = 10_000

#: Lua function that adds an action. The script needs the parameters `actions` and `action`.
ADD_ACTION = f"""
local function add_action()
  redis.call('RPUSH', actions, action)
  redis.call('LTRIM', actions, -{_MAX_ACTIONS}, -1)
  redis.call('PEXPIRE', actions, {_TTL_MS})
end
"""


class OperatorAction(BaseModel):
    """An action, as it is logged."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    event: ActionEvent
    operator: str
    fields: dict[str, str | None]

    def write_log(self) -> None:
        fields = {name: value for name, value in self.fields.items() if name in _FIELDS}
        bound = {"operator": self.operator, **fields}
        match self.event:
            case "ops.chat_erased":
                log.info("ops.chat_erased", message="Operator erased a chat", **bound)
            case "ops.run_moved_to_front":
                log.info(
                    "ops.run_moved_to_front",
                    message="Operator moved a run to the front of its queue",
                    **bound,
                )
            case "ops.run_requeued":
                log.info("ops.run_requeued", message="Operator requeued a run", **bound)
            case "ops.run_stopped":
                log.info("ops.run_stopped", message="Operator stopped a run", **bound)
            case "ops.webhook_resent":
                log.info("ops.webhook_resent", message="Operator sent a webhook again", **bound)
            case "ops.worker_drained":
                log.info("ops.worker_drained", message="Operator drained a worker", **bound)
            case "queue.paused":
                log.warning("queue.paused", message="Operator paused a queue", **bound)
            case "queue.resumed":
                log.warning("queue.resumed", message="Operator ended a pause", **bound)


class OperatorActions:
    """Stores actions, and returns each of them to one process."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def record(self, action: OperatorAction) -> None:
        await _record(self._redis, actions=keys.OPERATOR_ACTIONS, action=action.model_dump_json())

    async def take(self) -> list[OperatorAction]:
        """Return the actions that no process has taken yet, oldest first."""
        taken: list[OperatorAction] = []
        for text in await _take(self._redis, actions=keys.OPERATOR_ACTIONS):
            try:
                taken.append(OperatorAction.model_validate_json(text))
            except ValidationError:  # of a newer version
                continue
        return taken


@redis_script(ADD_ACTION, "add_action()", when_full=True)
def _record(*, actions: Key, action: str) -> None: ...


@redis_script(
    """
local taken = redis.call('LRANGE', actions, 0, -1)
redis.call('DEL', actions)
return taken
""",
    when_full=True,
)
def _take(*, actions: Key) -> list[bytes]: ...
