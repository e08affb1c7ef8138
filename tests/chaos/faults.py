"""The kinds of faults, and a schedule of them that a seed determines."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, get_args

Target = Literal[
    "worker", "api", "worker link", "api link", "redis", "model link", "model", "client"
]


#: The timeout of the workers for a model's silent stream, which is a setting.
SILENCE_SECONDS = 2.0


class FaultKind(StrEnum):
    WORKER_KILL = "worker: kill -9"
    WORKER_TERM = "worker: SIGTERM"
    WORKER_STOP = "worker: SIGSTOP, SIGCONT"
    WORKER_CLOCK = "worker: clock jumps"
    API_KILL = "API process: kill -9"
    API_TERM = "API process: SIGTERM"
    API_STOP = "API process: SIGSTOP, SIGCONT"
    API_CLOCK = "API process: clock jumps"
    REDIS_KILL = "Valkey: kill -9, restart"
    REDIS_FAILOVER = "primary: kill -9, failover to a replica that lags"
    REDIS_STOP = "Valkey: SIGSTOP, SIGCONT"
    REDIS_FULL = "Valkey: memory used up"
    REDIS_CLOCK = "Valkey: clock jumps"
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
    CLIENT_STORM = "clients: 60 connect and drop at once"

    @property
    def target(self) -> Target:
        name = self.name.lower()
        targets = sorted(get_args(Target), key=len, reverse=True)  # "worker link" before "worker"
        return next(target for target in targets if name.startswith(target.replace(" ", "_")))

    @property
    def action(self) -> str:
        """The name of the kind without its target, such as `half_open`."""
        return self.name.lower().removeprefix(self.target.replace(" ", "_") + "_")

    @property
    def needs_fake_clock(self) -> bool:
        return self.action == "clock"

    @property
    def silence_seconds(self) -> float:
        """How long workers wait for a model that is silent before they retry."""
        return SILENCE_SECONDS if self is FaultKind.MODEL_SILENT_STREAM else 0.0

    @property
    def effect_seconds(self) -> float:
        """How long after its end the fault can still begin to interrupt an answer.

        The victims of a fault of a link use the dead connections until they notice. Processes
        notice a jump of the clock within a second, and Valkey's is corrected 2 seconds later.
        """
        if self.needs_fake_clock:
            return 4.0
        return 5.0 if self.action in ("half_open", "one_way") else 1.0


#: The kinds that happen together in a storm, within this time.
_STORM = (
    FaultKind.REDIS_KILL,
    FaultKind.REDIS_FAILOVER,
    FaultKind.WORKER_KILL,
    FaultKind.API_KILL,
    FaultKind.CLIENT_STORM,
)
_STORM_SECONDS = 0.5

#: The kinds that a storage supports. Sentinel clients connect directly, not by a proxy.
SINGLE_KINDS = tuple(kind for kind in FaultKind if kind is not FaultKind.REDIS_FAILOVER)
CLUSTER_KINDS = tuple(FaultKind)
SENTINEL_KINDS = tuple(
    kind
    for kind in FaultKind
    if kind is FaultKind.REDIS_FAILOVER or kind.target not in ("redis", "worker link", "api link")
)


@dataclass(frozen=True)
class PlannedFault:
    kind: FaultKind
    #: Seconds after the start of the schedule.
    at: float
    #: Selects one of the processes of the kind.
    number: int
    #: How long the fault lasts, if it is of a kind that lasts.
    seconds: float

    @property
    def clock_offset(self) -> float:
        """The new offset of the clock, in seconds: minutes ahead or behind."""
        return (60 + 45 * self.seconds) * (1 if self.number % 2 else -1)


@dataclass
class InjectedFault:
    """A fault that happened, with its times on the monotonic clock."""

    kind: FaultKind
    started: float
    ended: float
    #: The process IDs or addresses that the fault affected.
    victims: frozenset[str] = field(default_factory=frozenset[str])


def plan_faults(
    seed: int, count: int, *, kinds: Sequence[FaultKind] = SINGLE_KINDS, every: float = 1.2
) -> list[PlannedFault]:
    """Return a schedule with `count` faults, on average one each `every` seconds.

    Each kind occurs about equally often. Faults may overlap. Every second round of all kinds has a
    storm: processes, servers and clients fail almost at once.
    """
    rng = random.Random(seed)
    planned: list[PlannedFault] = []
    at, is_storm = 0.0, False
    while len(planned) < count:
        for group in _groups(rng, kinds, with_storm=is_storm):
            at += rng.uniform(0.2, 1.8) * every
            for kind in group:
                when = at + (rng.uniform(0, _STORM_SECONDS) if len(group) > 1 else 0)
                planned.append(PlannedFault(kind, when, rng.randrange(1_000), rng.uniform(1, 4)))
        is_storm = not is_storm
    return planned[:count]


def _groups(
    rng: random.Random, kinds: Sequence[FaultKind], *, with_storm: bool
) -> list[list[FaultKind]]:
    """Return all kinds in random order. Those of one group happen together."""
    order = rng.sample(kinds, len(kinds))
    storm = [kind for kind in order if kind in _STORM] if with_storm else []
    groups = [[kind] for kind in order if kind not in storm]
    if storm:
        groups.insert(rng.randrange(len(groups) + 1), storm)
    return groups
