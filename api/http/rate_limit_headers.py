"""What is left of a limit, as headers (draft-ietf-httpapi-ratelimit-headers-10).

    RateLimit-Policy: "runs";q=10;w=20
    RateLimit: "runs";r=7;t=6

`q` is the quota, `w` the seconds in which all of it comes back, `r` what is left, `t` the seconds
until it is whole again.
"""

from math import ceil

from shared.limits.rate_limit_status import RateLimitStatus


def rate_limit_headers(status: RateLimitStatus | None) -> dict[str, str]:
    if status is None:
        return {}
    policy = f'"{status.policy}";q={status.quota}'
    left = f'"{status.policy}";r={status.remaining}'
    if status.window is None:
        policy += ';qu="concurrent-requests"'
    else:
        policy += f";w={ceil(status.window)}"
    if status.reset is not None:
        left += f";t={ceil(status.reset)}"
    return {"ratelimit-policy": policy, "ratelimit": left}
