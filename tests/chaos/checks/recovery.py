"""Measures how long answers stood still after each fault."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.client import AnswerView
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
    for gap in interruptions(views):
        affecting = [n for n, fault in enumerate(faults) if _affects(fault, gap, workers)]
        if affecting:
            number = _cause([(n, faults[n]) for n in affecting], gap)
            start = max(gap.started, faults[number].ended)
            others = [faults[n] for n in affecting if n != number]
            seconds = _undisturbed(start, gap.ended, others)
            longest[number] = max(longest.get(number, 0.0), seconds)
    found: defaultdict[FaultKind, list[float]] = defaultdict(list)
    for number, seconds in longest.items():
        found[faults[number].kind].append(seconds)
    return dict(found)


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


def _cause(affecting: Sequence[tuple[int, InjectedFault]], gap: Interruption) -> int:
    """Return the number of the newest fault when the interruption began, else of the first."""

    def start(item: tuple[int, InjectedFault]) -> float:
        return item[1].started

    before = [item for item in affecting if start(item) <= gap.started + _INTERRUPTION_SECONDS]
    return max(before, key=start)[0] if before else min(affecting, key=start)[0]


def _undisturbed(start: float, end: float, faults: Sequence[InjectedFault]) -> float:
    """Return the length of a time without the parts in which a fault was in progress."""
    seconds = 0.0
    for fault in sorted(faults, key=lambda fault: fault.started):
        if fault.ended > start:
            seconds += max(0.0, min(fault.started, end) - start)
            start = fault.ended
    return seconds + max(0.0, end - start)
