"""The expected wait in a queue, from the number of running jobs and their recent mean duration.

While jobs wait, the workers are full, so a job starts whenever a running one ends. This needs no
measured rate of claims: it is right from the beginning of a burst, and follows new workers at once.
"""

from math import ceil, floor, sqrt
from typing import NamedTuple

from shared.queue.queue_depth import QueueDepth, read_depths
from shared.redis.client import Redis


class WaitForecast(NamedTuple):
    """How many jobs of a queue run, and their mean duration in seconds.

    `margin` scales by how much the longest likely wait exceeds the expected one. It follows the
    share of jobs of the class that start late (`shared/queue/announced_waits.py`).
    """

    running: int
    mean_seconds: float
    margin: float = 1.0
    background_margin: float = 1.0

    @property
    def interval(self) -> float:
        """The mean time between two starts in seconds."""
        return self.mean_seconds / self.running

    def eta_seconds(
        self, first: float, last: float, *, background: bool = False
    ) -> tuple[int, int]:
        """Return the shortest and the longest wait that is likely between these positions.

        New workers can more than halve a wait. It can be longer than expected for three reasons:
        jobs that started together end together, the sum of `last` durations varies by the square
        root of their number, and the mean duration is an estimate.
        """
        interval, expected = self.interval, self.interval * last
        low = max(0.0, 0.4 * interval * first - interval)
        late = self.mean_seconds / sqrt(self.running) + interval * sqrt(last) + expected / 4
        margin = self.background_margin if background else self.margin
        return floor(low), ceil(expected + margin * late)


async def read_forecast(redis: Redis, queue: str) -> WaitForecast | None:
    """Return the forecast for a queue. None if no job runs, or too few have ended recently."""
    return forecast((await read_depths(redis, [queue]))[queue])


def forecast(depth: QueueDepth) -> WaitForecast | None:
    """Return the forecast for a queue of this depth, as `read_forecast`."""
    if not depth.running or depth.mean_run_ms is None:
        return None
    return WaitForecast(
        depth.running,
        depth.mean_run_ms / 1000,
        depth.margin_percent / 100,
        depth.background_margin_percent / 100,
    )
