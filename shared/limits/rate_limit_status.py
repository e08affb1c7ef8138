"""What is left of a limit: told with each answer, so that a client can pace itself."""

from typing import NamedTuple


class RateLimitStatus(NamedTuple):
    """`quota` is all there is; None as `window`: it counts what goes on at once.

    Times are in seconds: in a `window` the whole quota comes back, in `reset` what is spent of it.
    """

    policy: str
    quota: int
    remaining: int
    window: float | None = None
    reset: float | None = None
