"""Claims jobs for a worker: at once, or when a wakeup token arrives.

The wait for a token and the claim are one round trip, so an idle worker starts a job without
another one. Redis executes the claim when it has ended the wait.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from redis.exceptions import NoScriptError

from shared.redis import keys
from shared.redis.client import Redis, as_unavailable
from worker.queue import lease_scripts
from worker.queue.claimed_job import ClaimedJob, parse_jobs
from worker.queue.lease_scripts import ClaimParameters


class Claim(NamedTuple):
    jobs: list[ClaimedJob]
    #: The leases began at this moment or later, on the monotonic clock of this process.
    began: float


class JobClaims:
    """Claims jobs from any number of queues in rotation.

    `queues` and `background_share` return the names of the queues and the minimum share of
    background jobs for each claim. `blocking_redis` must not limit the duration of its calls.
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
        """Claim at most `count` jobs that are due. `running` counts those of this worker.

        Raises:
            REDIS_UNAVAILABLE: if Redis cannot serve the call now.
            RedisError: if the script fails.
        """
        began = time.monotonic()
        queues, parameters = self._rotate_queues(), self._parameters(count, running)
        claimed = await lease_scripts.claim(self._redis, queues, **parameters)
        return Claim(await parse_jobs(self._redis, claimed), began)

    async def wait_and_claim(self, count: int, *, running: int, seconds: float) -> Claim:
        """Claim jobs when a wakeup token arrives, `interrupt` is called, or the time is over.

        Raises the same errors as `claim`.
        """
        began = time.monotonic()
        queues, parameters = self._rotate_queues(), self._parameters(count, running)
        tokens = [*map(keys.wakeup, queues), keys.worker_wakeup(self._id)]
        async with self._blocking_redis.pipeline(transaction=False) as pipe:
            pipe.execute_command("TIME")
            pipe.execute_command("BLPOP", *tokens, seconds)
            pipe.execute_command("TIME")
            lease_scripts.add_claim(pipe, queues, **parameters)
            replies = await pipe.execute(raise_on_error=False)
        if isinstance(replies[-1], NoScriptError):
            return await self.claim(count, running=running)
        for reply in replies:
            if isinstance(reply, Exception):
                raise as_unavailable(reply)
        wait_began, _, wait_ended, claimed = replies
        waited = max(0.0, _seconds(wait_ended) - _seconds(wait_began))
        # The clock of Redis may have been set forward meanwhile.
        began = min(began + waited, time.monotonic())
        return Claim(await parse_jobs(self._redis, claimed), began)

    async def interrupt(self) -> None:
        """End a wait of this worker. The next one ends at once if there is none."""
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
    """Return the reply of `TIME`, which has seconds and microseconds, in seconds."""
    return time_of_redis[0] + time_of_redis[1] / 1_000_000
