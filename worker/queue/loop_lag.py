"""Waiting until the event loop has caught up, so that a burst of jobs cannot overload a worker.

The start of a run takes milliseconds of CPU time. Hundreds of starts at once delay every callback
by seconds, and then calls to Redis exceed their time limits and leases expire.
"""

import asyncio
import time

#: The lag above which a worker claims no further jobs: far below the time limits of Redis calls.
MAX_LAG_SECONDS = 0.01
#: The longest wait. Many running streams can cause a lasting lag, and jobs must start all the same.
MAX_WAIT_SECONDS = 0.25
_SAMPLE_SECONDS = 0.005


async def wait_for_low_lag() -> None:
    """Wait until callbacks of the event loop run on time, or for a quarter of a second."""
    now = time.monotonic()
    deadline = now + MAX_WAIT_SECONDS
    while now < deadline:
        due = now + _SAMPLE_SECONDS
        await asyncio.sleep(_SAMPLE_SECONDS)
        now = time.monotonic()
        if now - due < MAX_LAG_SECONDS:
            return
