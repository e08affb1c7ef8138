"""Formats the state of limits as headers (draft-ietf-httpapi-ratelimit-headers-10).

    RateLimit-Policy: "runs";q=10;w=20, "tokens-day";q=200000;qu="tokens";w=86400
    RateLimit: "runs";r=7;t=6, "tokens-day";r=181204;t=3600

`q` is the quota, `qu` its unit, `w` the window in seconds, `r` the remaining quota, and `t` the
seconds until the whole quota is available again.
"""

from math import ceil

from shared.rate_limit_status import RateLimitStatus


def rate_limit_headers(*statuses: RateLimitStatus | None) -> dict[str, str]:
    """Return the headers of all limits that are set."""
    known = [status for status in statuses if status is not None]
    if not known:
        return {}
    return {
        "ratelimit-policy": ", ".join(map(_policy, known)),
        "ratelimit": ", ".join(map(_remaining, known)),
    }


def _policy(status: RateLimitStatus) -> str:
    policy = f'"{status.policy}";q={status.quota}'
    unit = "concurrent-requests" if status.window is None else status.unit
    if unit:
        policy += f';qu="{unit}"'
    return policy if status.window is None else f"{policy};w={ceil(status.window)}"


def _remaining(status: RateLimitStatus) -> str:
    remaining = f'"{status.policy}";r={status.remaining}'
    return remaining if status.reset is None else f"{remaining};t={ceil(status.reset)}"
