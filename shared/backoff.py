"""Delays between repeated tries of one operation."""

from collections.abc import Sequence


def delay_after(failures: int, delays: Sequence[float]) -> float:
    """Return the delay for a number of earlier failures. The last delay repeats."""
    return delays[min(failures, len(delays) - 1)]
