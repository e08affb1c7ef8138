"""Claims jobs for a worker, either at once or after a wait for a wakeup token.

The wait and the claim are one round trip: Redis executes the claim when a token arrives or the wait
times out.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from redis.exceptions import NoScriptError

from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis, RedisError, as_unavailable
from worker.queue import lease_scripts
from worker.queue.claimed_job import ClaimedJob, accept_jobs
from worker.queue.lease_scripts import ClaimParameters


class Claim(NamedTuple):
    jobs: list[ClaimedJob]
    #: The earliest moment at which the leases may have begun, on this process's monotonic clock.
    began: float


class JobClaims:
    """Claims jobs from any number of queues in rotation.

    `queues` and `background_share` return the names of the queues and the minimum share of
    background jobs for each claim. `blocking_redis` must have no time limit that is shorter than a
    wait.
    """

    def __init__(
        self,
        redis: Redis,
        blocking_redis: Redis,
        *,
        worker_id: str,
        lease_ms: int,
        queues: Callable[[], Sequence[str]],
        background_share: Callable[[], float],
    ) -> None:
        self._redis = redis
        self._blocking_redis = blocking_redis
        self._id = worker_id
        self._lease_ms = lease_ms
        self._queues = queues
        self._background_share = background_share
        self._next_queue = 0

    async def claim(self, count: int, *, running: int) -> Claim:
        """Claim at most `count` jobs that are due. `running` counts the jobs that run here.

        Raises:
            REDIS_UNAVAILABLE: if Redis cannot serve the call now.
            RedisError: if the script fails.
        """
        began = time.monotonic()
        queues, parameters = self._rotate_queues(), self._parameters(count, running)
        claimed = await lease_scripts.claim(self._redis, queues, **parameters)
        return Claim(await accept_jobs(self._redis, claimed), began)

    async def wait_and_claim(self, count: int, *, running: int, seconds: float) -> Claim:
        """Wait at most `seconds` for a wakeup token or `interrupt`, then claim as `claim` does.

        Raises the same errors as `claim`.
        """
        sent_at = time.monotonic()
        queues, parameters = self._rotate_queues(), self._parameters(count, running)
        wakeups = [*map(keys.wakeup, queues), keys.worker_wakeup(self._id)]
        async with self._blocking_redis.pipeline(transaction=False) as pipe:
            pipe.execute_command("TIME")
            pipe.execute_command("BLPOP", *wakeups, seconds)
            pipe.execute_command("TIME")
            lease_scripts.add_claim(pipe, queues, **parameters)
            replies = await pipe.execute(raise_on_error=False)
        received_at = time.monotonic()
        *waits, claimed = replies
        if isinstance(claimed, NoScriptError):
            return await self.claim(count, running=running)  # loads the script, too
        if isinstance(claimed, Exception):
            raise as_unavailable(claimed)
        jobs = await accept_jobs(self._redis, claimed)
        error = next((reply for reply in waits if isinstance(reply, Exception)), None)
        if error is None:
            waited = max(0.0, _seconds(waits[2]) - _seconds(waits[0]))
            # If the clock of Redis was set forward during the wait, `waited` is too long.
            return Claim(jobs, min(sent_at + waited, received_at))
        if not jobs:
            raise as_unavailable(error)
        return Claim(jobs, sent_at)

    async def interrupt(self) -> None:
        """End the worker's wait, or its next one if it does not wait now. Best effort."""
        with suppress(*REDIS_UNAVAILABLE, RedisError):
            await lease_scripts.push_token(self._redis, wakeup=keys.worker_wakeup(self._id))

    def _parameters(self, count: int, running: int) -> ClaimParameters:
        return {
            "lease_ms": self._lease_ms,
            "count": count,
            "running": running,
            "background_share": self._background_share(),
            "worker_id": self._id,
        }

    def _rotate_queues(self) -> list[str]:
        """Return the keys of the queues, with a different one first each time."""
        queues = [keys.queue(name) for name in self._queues()]
        self._next_queue = (self._next_queue + 1) % len(queues)
        return [*queues[self._next_queue :], *queues[: self._next_queue]]


def _seconds(time_of_redis: tuple[int, int]) -> float:
    """Convert the reply of `TIME`, which has seconds and microseconds, to seconds."""
    return time_of_redis[0] + time_of_redis[1] / 1_000_000
