"""Measures how long answers stood still after each fault."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.clients.view import AnswerView
from tests.chaos.faults import FaultKind, InjectedFault

#: A pause between two events that is longer than this is an interruption.
_INTERRUPTION_SECONDS = 1.0


@dataclass(frozen=True)
class Interruption:
    """A time without events of an answer."""

    view: AnswerView
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.started


@dataclass(frozen=True)
class Stall:
    """An interruption, its cause, and the other faults that affected the answer in that time."""

    interruption: Interruption
    cause: InjectedFault
    others: Sequence[InjectedFault]
    #: From the end of the cause, or of the worker's timeout for a silent model, without the time
    #: in which other faults were in progress.
    seconds: float


def interruptions(views: Sequence[AnswerView]) -> list[Interruption]:
    return [
        Interruption(view, start, end)
        for view in views
        for start, end in pairwise(view.times)
        if end - start > _INTERRUPTION_SECONDS
    ]


def longest_silence(view: AnswerView) -> float:
    return max((end - start for start, end in pairwise(view.times)), default=0.0)


def recoveries(
    faults: Sequence[InjectedFault],
    views: Sequence[AnswerView],
    workers: Mapping[str, frozenset[str]],
) -> dict[FaultKind, list[float]]:
    """Return the recovery times of each kind of fault, in seconds.

    An interruption belongs to the fault that caused it. It counts from the end of that fault,
    without the time in which another fault that affected the answer was in progress. `workers` has
    the process IDs of the workers of each run. Of the interruptions by a fault, the longest one is
    its recovery time.
    """
    longest: dict[int, float] = {}
    for stall in stalls(faults, views, workers):
        number = id(stall.cause)
        longest[number] = max(longest.get(number, 0.0), stall.seconds)
    found: defaultdict[FaultKind, list[float]] = defaultdict(list)
    for fault in faults:
        if id(fault) in longest:
            found[fault.kind].append(longest[id(fault)])
    return dict(found)


def stalls(
    faults: Sequence[InjectedFault],
    views: Sequence[AnswerView],
    workers: Mapping[str, frozenset[str]],
) -> list[Stall]:
    """Return the interruptions that faults caused, longest first."""
    found: list[Stall] = []
    for gap in interruptions(views):
        affecting = [fault for fault in faults if _affects(fault, gap, workers)]
        if affecting:
            cause = _cause(affecting, gap)
            others = [fault for fault in affecting if fault is not cause]
            start = max(gap.started + cause.kind.silence_seconds, cause.ended)
            found.append(Stall(gap, cause, others, _undisturbed(start, gap.ended, others)))
    return sorted(found, key=lambda stall: -stall.seconds)


def _affects(
    fault: InjectedFault, gap: Interruption, workers: Mapping[str, frozenset[str]]
) -> bool:
    if gap.view.model_fault is fault:
        return True
    if fault.kind.target == "model" or not fault.started <= gap.ended:
        return False
    if fault.ended + fault.kind.effect_seconds < gap.started:
        return False
    match fault.kind.target:
        case "worker" | "worker link":
            return bool(fault.victims & workers.get(gap.view.run_id, frozenset()))
        case "api" | "api link":
            return bool(fault.victims & gap.view.apis)
        case _:
            return True


def _cause(affecting: Sequence[InjectedFault], gap: Interruption) -> InjectedFault:
    """Return the newest fault when the interruption began, or else the first one after that.

    The kill of the run's worker comes first: whatever else happens, the run waits for its lease.
    """

    def start(fault: InjectedFault) -> float:
        return fault.started

    before = [f for f in affecting if f.started <= gap.started + _INTERRUPTION_SECONDS]
    kills = [fault for fault in before if fault.kind is FaultKind.WORKER_KILL]
    return max(kills or before, key=start) if before else min(affecting, key=start)


def _undisturbed(start: float, end: float, faults: Sequence[InjectedFault]) -> float:
    """Return the length of a time without the parts in which a fault was in progress."""
    seconds = 0.0
    for fault in sorted(faults, key=lambda fault: fault.started):
        if fault.ended > start:
            seconds += max(0.0, min(fault.started, end) - start)
            start = fault.ended
    return seconds + max(0.0, end - start)
