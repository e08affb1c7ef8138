"""The expected wait in a queue, from the number of running jobs and their recent mean duration.

While jobs wait, the workers are full, so a job starts whenever a running one ends. This needs no
measured rate of claims: it is right from the beginning of a burst, and follows new workers at once.
"""

from math import ceil, floor, sqrt
from typing import NamedTuple

from shared.queue.queue_depth import QueueDepth, read_depths
from shared.redis.client import Redis


class WaitForecast(NamedTuple):
    """How many jobs of a queue run, and their mean duration in seconds."""

    running: int
    mean_seconds: float

    @property
    def interval(self) -> float:
        """The mean time between two starts in seconds."""
        return self.mean_seconds / self.running

    def eta_seconds(self, position: int) -> tuple[int, int]:
        """Return the shortest and the longest wait that is likely at this position.

        Jobs that started together end together, so a start can be a whole duration early or late.
        Independent ends vary by the square root of their number, and the mean duration by about a
        quarter. New workers can more than halve a wait.
        """
        interval, expected = self.interval, self.interval * position
        spread = max(self.mean_seconds, 2 * interval * sqrt(position), expected / 4)
        low = max(0.0, min(expected - spread, 0.4 * expected))
        return floor(low), ceil(expected + spread)


async def read_forecast(redis: Redis, queue: str) -> WaitForecast | None:
    """Return the forecast for a queue. None if no job runs, or no job has ended recently."""
    return forecast((await read_depths(redis, [queue]))[queue])


def forecast(depth: QueueDepth) -> WaitForecast | None:
    """Return the forecast for a queue of this depth, as `read_forecast`."""
    if not depth.running or depth.mean_run_ms is None:
        return None
    return WaitForecast(depth.running, depth.mean_run_ms / 1000)
