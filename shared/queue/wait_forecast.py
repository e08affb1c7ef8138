"""The expected wait in a queue, from the number of running jobs and their recent mean duration.

While jobs wait, the workers are full, so a job starts whenever a running one ends. This needs no
measured rate of claims: it is right from the beginning of a burst, and follows new workers at once.
"""

from collections.abc import Mapping
from math import floor, sqrt
from typing import NamedTuple

from shared.queue.announced_waits import DEFAULT_MARGIN, JOB_KINDS, JobKind, LikelyWait
from shared.queue.queue_depth import QueueDepth, read_depths
from shared.redis.client import Redis


class WaitForecast(NamedTuple):
    """How many jobs of a queue run, and their mean duration in seconds.

    A margin scales by how much the longest likely wait exceeds the expected one. It follows the
    part of the jobs of this kind that start late (`shared/queue/announced_waits.py`).
    """

    running: int
    mean_seconds: float
    margins: Mapping[JobKind, float]

    @property
    def interval(self) -> float:
        """The mean time between two starts in seconds."""
        return self.mean_seconds / self.running

    def likely_wait(self, first: float, last: float, kind: JobKind) -> LikelyWait:
        """Return the shortest and the longest wait that is likely between these positions.

        New workers can more than halve a wait. It can be longer than expected for three reasons:
        jobs that started together end together, the sum of `last` durations varies by the square
        root of their number, and the mean duration is an estimate.
        """
        interval, expected = self.interval, self.interval * last
        # Some jobs will probably overtake an overtakable one, and `first` does not count them.
        part = 0.5 if kind == "overtakable" else 0.4
        low = max(0.0, part * interval * first - interval)
        late = self.mean_seconds / sqrt(self.running) + interval * sqrt(last) + expected / 4
        return LikelyWait(floor(low), max(1, round(expected + self.margins[kind] * late)), kind)


async def read_forecast(redis: Redis, queue: str) -> WaitForecast | None:
    """Return the forecast for a queue. None if no job runs, or too few have ended recently."""
    return forecast((await read_depths(redis, [queue]))[queue])


def forecast(depth: QueueDepth) -> WaitForecast | None:
    """Return the forecast for a queue of this depth, as `read_forecast`."""
    if not depth.running or depth.mean_run_ms is None:
        return None
    margins: dict[JobKind, float] = {
        kind: DEFAULT_MARGIN if percent is None else percent / 100
        for kind, percent in zip(JOB_KINDS, depth.margins, strict=True)
    }
    return WaitForecast(depth.running, depth.mean_run_ms / 1000, margins)
