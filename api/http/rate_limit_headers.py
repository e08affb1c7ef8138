"""Formats the rate limit status as headers (draft-ietf-httpapi-ratelimit-headers-10).

    RateLimit-Policy: "runs";q=10;w=20
    RateLimit: "runs";r=7;t=6

`q` is the quota, `w` the window in seconds, `r` the remaining quota, and `t` the seconds until the
whole quota is available again.
"""

from math import ceil

from shared.rate_limit_status import RateLimitStatus


def rate_limit_headers(status: RateLimitStatus | None) -> dict[str, str]:
    if status is None:
        return {}
    policy = f'"{status.policy}";q={status.quota}'
    remaining = f'"{status.policy}";r={status.remaining}'
    if status.window is None:
        policy += ';qu="concurrent-requests"'
    else:
        policy += f";w={ceil(status.window)}"
    if status.reset is not None:
        remaining += f";t={ceil(status.reset)}"
    return {"ratelimit-policy": policy, "ratelimit": remaining}
