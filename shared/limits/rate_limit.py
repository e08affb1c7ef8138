"""The rate limits of an owner: one token bucket for runs, one of the same size for titles.

A bucket is stored as the time at which it is full again (GCRA), by the clock of Redis. Admission
takes from the bucket for runs (`shared/runs/admission.py`).
"""

from contextlib import suppress
from typing import Literal

from shared.errors import RateLimited
from shared.rate_limit_status import RateLimitStatus
from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Key, redis_script
from shared.settings import LimitSettings
from shared.settings.live_settings import LiveSettings

Policy = Literal["runs", "titles"]

#: Lua that takes from a bucket. Times are in microseconds; `interval` is the time of one token.
RATE_BUCKET = """
local function spent_of(bucket, now, interval, burst)
  local full = tonumber(redis.call('GET', bucket) or '0')
  return math.max(0, math.min(full - now, interval * burst))
end
local function is_empty(spent, interval, burst)
  return spent > interval * (burst - 1) + 1
end
local function take(bucket, now, interval, spent)
  spent = spent + interval
  redis.call('SET', bucket, string.format('%.0f', now + spent), 'PX', math.ceil(spent / 1000))
  return spent
end
"""

_NOUNS: dict[Policy, str] = {"runs": "answers", "titles": "titles"}


async def take_title(redis: Redis, owner: str, limits: LimitSettings) -> RateLimitStatus | None:
    """Take one title from the bucket and return the new status; None if there is no limit.

    Raises:
        RateLimited: if the bucket is empty.
    """
    return await _take_from(redis, keys.title_rate(owner), "titles", limits)


class RunRate:
    """The rate limit of runs, for requests that cost as much as a run but start none."""

    def __init__(self, redis: Redis, live: LiveSettings) -> None:
        self._redis = redis
        self._live = live

    async def check(self, owner: str) -> None:
        """Check that the owner may start a run.

        Raises:
            RateLimited: if the bucket is empty.
        """
        await _take_from(self._redis, keys.rate(owner), "runs", self._live.now.limits, count=0)

    async def count(self, owner: str) -> None:
        """Take one from the bucket, unless it is empty."""
        with suppress(RateLimited):
            await _take_from(self._redis, keys.rate(owner), "runs", self._live.now.limits)


async def _take_from(
    redis: Redis, bucket: str, policy: Policy, limits: LimitSettings, *, count: int = 1
) -> RateLimitStatus | None:
    if not limits.requests_per_minute:
        return None
    spent = await _take(
        redis,
        bucket=bucket,
        per_minute=limits.requests_per_minute,
        burst=limits.burst,
        count=count,
    )
    if spent < 0:
        raise exceeded(policy, -spent, limits)
    return status(policy, spent, limits)


def status(policy: Policy, spent_us: int, limits: LimitSettings) -> RateLimitStatus | None:
    """Return the status of a bucket of which `spent_us` microseconds' worth is spent."""
    if not limits.requests_per_minute:
        return None
    interval, spent = 60 / limits.requests_per_minute, spent_us / 1e6
    window = interval * limits.burst
    # Rounding loses up to a microsecond, which must not cost a whole run.
    remaining = max(0, int((window - spent + 2e-6) / interval))
    return RateLimitStatus(policy, limits.burst, remaining, window, spent)


def exceeded(policy: Policy, spent_us: int, limits: LimitSettings) -> RateLimited:
    interval = 60 / limits.requests_per_minute
    wait = max(0.0, spent_us / 1e6 - interval * (limits.burst - 1))
    return RateLimited(
        f"You can request at most {limits.requests_per_minute:,} {_NOUNS[policy]} per minute.",
        retry_after=wait,
        rate_limit=status(policy, spent_us, limits),
    )


# Takes `count`, 0 or 1, from a bucket that has at least one. Returns the microseconds that are
# spent, negative if it refused.
@redis_script(
    RATE_BUCKET,
    """
local now, interval = now_us(), 60000000 / per_minute
local spent = spent_of(bucket, now, interval, burst)
if is_empty(spent, interval, burst) then return -math.ceil(spent) end
if count > 0 then spent = take(bucket, now, interval, spent) end
return math.ceil(spent)
""",
)
def _take(*, bucket: Key, per_minute: int, burst: int, count: int) -> int: ...
