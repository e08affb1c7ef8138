"""Delays between repeated tries of one operation."""

import time
from collections.abc import Callable, Sequence

#: While an outage lasts, it is logged once in this time.
_REPORT_SECONDS = 60.0


def delay_after(failures: int, delays: Sequence[float]) -> float:
    """Return the delay for a number of earlier failures. The last delay repeats."""
    return delays[min(failures, len(delays) - 1)]


class Backoff:
    """Doubles the delay after each failure in a row, and limits how often failures are logged."""

    def __init__(
        self, first: float, maximum: float, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._first = first
        self._maximum = maximum
        self._now = now
        self._failures = 0
        self._reported_at = 0.0

    def failed(self) -> float:
        """Count a failure and return the delay before the next try."""
        delay = min(self._maximum, self._first * 2 ** min(self._failures, 30))
        self._failures += 1
        return delay

    def should_log(self) -> bool:
        """Return whether to log the last failure: the first in a row, or the first in a while."""
        if self._failures > 1 and self._now() - self._reported_at < _REPORT_SECONDS:
            return False
        self._reported_at = self._now()
        return True

    def succeeded(self) -> bool:
        """Start again with the first delay. Return whether there were failures."""
        had_failed, self._failures = self._failures > 0, 0
        return had_failed
