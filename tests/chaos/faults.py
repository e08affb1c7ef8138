"""The kinds of faults, and a schedule of them that a seed determines."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Target = Literal["worker", "api", "worker link", "api link", "redis", "model link", "model"]


class FaultKind(StrEnum):
    WORKER_KILL = "worker: kill -9"
    WORKER_TERM = "worker: SIGTERM"
    WORKER_STOP = "worker: SIGSTOP, SIGCONT"
    API_KILL = "API process: kill -9"
    API_TERM = "API process: SIGTERM"
    API_STOP = "API process: SIGSTOP, SIGCONT"
    REDIS_KILL = "Valkey: kill -9, restart"
    REDIS_STOP = "Valkey: SIGSTOP, SIGCONT"
    REDIS_FULL = "Valkey: memory used up"
    WORKER_LINK_RESET = "link of a worker to Valkey: reset"
    WORKER_LINK_HALF_OPEN = "link of a worker to Valkey: half-open"
    WORKER_LINK_ONE_WAY = "link of a worker to Valkey: replies lost"
    WORKER_LINK_SILENCE = "link of a worker to Valkey: silence"
    WORKER_LINK_LATENCY = "link of a worker to Valkey: latency"
    API_LINK_RESET = "link of an API process to Valkey: reset"
    API_LINK_HALF_OPEN = "link of an API process to Valkey: half-open"
    API_LINK_ONE_WAY = "link of an API process to Valkey: replies lost"
    API_LINK_SILENCE = "link of an API process to Valkey: silence"
    API_LINK_LATENCY = "link of an API process to Valkey: latency"
    MODEL_LINK_RESET = "link of all workers to the model: reset"
    MODEL_LINK_SILENCE = "link of all workers to the model: silence"
    MODEL_BROKEN_STREAM = "model: broken stream"
    MODEL_SILENT_STREAM = "model: silent stream"
    MODEL_BUSY = "model: 429"
    MODEL_ERROR = "model: 500"

    @property
    def target(self) -> Target:
        name = self.name.lower()
        for start in ("worker_link", "api_link", "model_link", "worker", "api", "redis", "model"):
            if name.startswith(start):
                return start.replace("_", " ")  # pyright: ignore[reportReturnType]
        raise ValueError(name)

    @property
    def action(self) -> str:
        """The name of the kind without its target, such as `half_open`."""
        return self.name.lower().removeprefix(self.target.replace(" ", "_") + "_")

    @property
    def effect_seconds(self) -> float:
        """How long after its end the fault can still begin to interrupt an answer.

        The victims of a fault of a link use the dead connections until they notice.
        """
        return 30.0 if self.action in ("half_open", "one_way") else 1.0


@dataclass(frozen=True)
class PlannedFault:
    kind: FaultKind
    #: Seconds after the start of the schedule.
    at: float
    #: Selects one of the processes of the kind.
    number: int
    #: How long the fault lasts, if it is of a kind that lasts.
    seconds: float


@dataclass
class InjectedFault:
    """A fault that happened, with its times on the monotonic clock."""

    kind: FaultKind
    started: float
    ended: float
    #: The process IDs or addresses that the fault affected.
    victims: frozenset[str] = field(default_factory=frozenset[str])


def plan_faults(
    seed: int, count: int, *, kinds: Sequence[FaultKind] = tuple(FaultKind), every: float = 1.2
) -> list[PlannedFault]:
    """Return a schedule with `count` faults, on average one each `every` seconds.

    Each kind occurs about equally often. Faults may overlap.
    """
    rng = random.Random(seed)
    order: list[FaultKind] = []
    while len(order) < count:
        order += rng.sample(kinds, len(kinds))
    planned: list[PlannedFault] = []
    at = 0.0
    for kind in order[:count]:
        at += rng.uniform(0.2, 1.8) * every
        planned.append(PlannedFault(kind, at, rng.randrange(1_000), rng.uniform(1, 4)))
    return planned
