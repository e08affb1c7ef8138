"""When a failed delivery of a webhook is repeated."""

import random

#: Attempts are repeated for a day.
GIVE_UP_SECONDS = 24 * 3600.0
_FIRST_SECONDS = 5.0
_FACTOR = 3
_MAX_SECONDS = 4 * 3600.0


def retry_delay(
    failed_attempts: int, age: float, *, retry_after: float | None = None
) -> float | None:
    """Return the seconds until the next attempt, or None to give up.

    `failed_attempts` includes the last one, and `age` is the time since the first one. The delay
    triples each time, up to four hours, and is shortened at random by up to half. It is at least
    `retry_after`. The last attempt is made a day after the first one.
    """
    remaining = GIVE_UP_SECONDS - age
    if remaining <= 0:
        return None
    longest = min(_MAX_SECONDS, _FIRST_SECONDS * _FACTOR ** min(failed_attempts - 1, 10))
    delay = random.uniform(0.5, 1) * longest  # noqa: S311
    return min(max(delay, retry_after or 0), remaining)
