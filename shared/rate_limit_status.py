"""The state of a limit, sent with each response so that clients can slow down in time."""

from typing import NamedTuple


class RateLimitStatus(NamedTuple):
    """A limit and what is left of it.

    An empty bucket refills within `window` seconds, this one within `reset` seconds. A limit of
    concurrent runs has neither. `unit` is what a budget counts; other limits count requests.
    """

    policy: str
    quota: int
    remaining: int
    window: float | None = None
    reset: float | None = None
    unit: str | None = None
