"""A discrete-event simulation of workers on the real scripts of the queue.

Time does not pass: a job that ends gets a start in the past, by its duration.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import inf, isfinite
from typing import Literal

from shared.queue.announced_waits import AnnouncedWait, LikelyWait
from shared.queue.fair_queue import FIRST_BACKGROUND
from shared.queue.job_queue import JobQueue
from shared.queue.queue_depth import read_depths
from shared.queue.queue_positions import QueuePositions
from shared.queue.shares.weights import apply_weights
from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from shared.runs.admission import Admission
from shared.settings import LimitSettings, Priority, WhenBusy
from tests.support.fakes.runs import job_of, new_run
from worker.queue import lease_scripts

_LEASE_MS = 600_000
_QUEUE = keys.QUEUE


class QueueSimulation:
    """A queue, and workers with a number of slots."""

    def __init__(self, redis: Redis, *, slots: int, background_share: float = 0.1) -> None:
        self.redis = redis
        self.slots = slots
        self.background_share = background_share
        #: Seconds since the beginning.
        self.now = 0.0
        #: The jobs in the order of their claims, and the seconds of service of each owner.
        self.claimed: list[str] = []
        self.work: dict[str, float] = defaultdict(float)
        #: When each job was added and claimed.
        self.added_at: dict[str, float] = {}
        self.claimed_at: dict[str, float] = {}
        #: The announced waits of jobs, and when each of them was announced.
        self.announced: dict[str, LikelyWait] = {}
        self._announced_at: dict[str, float] = {}
        #: When each job was started, in milliseconds of the Redis server, after `_set_service`.
        self._started_at: dict[str, int] = {}
        self._jobs: dict[str, tuple[str, float]] = {}
        self._running: list[tuple[float, str]] = []
        self._admission = Admission(redis, live_ttl=600)
        self._queue = JobQueue(redis)
        self._positions = QueuePositions(redis)

    async def add(
        self,
        owner: str,
        seconds: float,
        *,
        weight: float = 1.0,
        chat: str | None = None,
        priority: Priority = "interactive",
        when_busy: WhenBusy = "queue",
    ) -> str:
        """Add a job that takes this long, and return its id."""
        name = f"{owner}-{len(self._jobs)}"
        run = new_run(name, owner=owner, chat_id=chat or f"chat-{name}")
        run = run.model_copy(update={"priority": priority})
        await self._admission.admit(
            run,
            job_of(run),
            LimitSettings(queue_depth=0),
            weight=weight,
            when_busy=when_busy,
            max_waiting=100,
        )
        self._jobs[name] = owner, seconds
        self.added_at[name] = self.now
        return name

    async def add_as_older_version(self, owner: str, seconds: float) -> str:
        """Add a job as a process of an older version does: due now, without an owner."""
        name = await self.add(owner, seconds)
        await self._queue.remove(name)
        now = await redis_time_ms(self.redis)
        await self.redis.execute_command("ZADD", _QUEUE, now - 1, name)
        await self.redis.execute_command("PEXPIRE", _QUEUE, _LEASE_MS)
        return name

    async def set_weights(self, weights: Mapping[str, float]) -> None:
        """Change the weights of owners. All others have weight 1 from then on."""
        await apply_weights(self.redis, lambda owner, _: weights.get(owner, 1.0))

    async def _set_service(self, jobs: Mapping[str, float]) -> None:
        """Move the starts of these jobs, so that they have run for so many seconds."""
        now = await redis_time_ms(self.redis)
        for name, seconds in jobs.items():
            fair_job, started = keys.fair_job(name), now - round(seconds * 1000)
            if await self.redis.execute_command("HEXISTS", fair_job, "started"):
                change = started - self._started_at[name]
                await self.redis.execute_command("HINCRBY", fair_job, "started", change)
                self._started_at[name] = started

    async def announce(self, name: str) -> None:
        """Announce the wait of a job, if it waits and its wait can be estimated."""
        if name in self.claimed_at:
            return
        await self._set_service(
            {running: self.now - self.claimed_at[running] for _, running in self._running}
        )
        [position] = await self._positions.read([name])
        if position and position.likely_wait:
            self.announced[name] = position.likely_wait
            self._announced_at[name] = self.now
            await self._positions.record_announced({name: position.likely_wait})

    async def _move_announcements(self, count: int) -> None:
        """Move the announcements of the next jobs into the past: their wait has not passed."""
        now = await redis_time_ms(self.redis)
        found: list[bytes] = []
        for first in ("-inf", FIRST_BACKGROUND):
            jobs = ("ZRANGEBYSCORE", _QUEUE, first, "+inf", "LIMIT", 0, count)
            found += await self.redis.execute_command(*jobs)
        for name in self.announced.keys() & set(map(bytes.decode, found)):
            at = now - round((self.now - self._announced_at[name]) * 1000)
            text = " ".join(map(str, (at, *self.announced[name])))
            await self.redis.execute_command("HSET", keys.fair_job(name), "announced", text)

    async def claim(self) -> int:
        """Fill the free slots, and return how many jobs were claimed."""
        free = self.slots - len(self._running)
        if free and self.announced:
            await self._move_announcements(free)
        found = await lease_scripts.claim(
            self.redis,
            queues=[_QUEUE],
            lease_ms=_LEASE_MS,
            count=free,
            running=0,
            background_share=self.background_share,
            worker_id="worker",
        )
        now = await redis_time_ms(self.redis) if found else 0
        for _, job_id, _, _ in found:
            self._start(job_id.decode(), now)
        return len(found)

    async def claim_as_older_version(self) -> None:
        """Claim a job as a worker of an older version does: the one with the lowest score."""
        if len(self._running) == self.slots:
            return
        now = await redis_time_ms(self.redis)
        found: list[bytes] = await self.redis.execute_command(
            "ZRANGEBYSCORE", _QUEUE, "-inf", now, "LIMIT", 0, 1
        )
        for name in map(bytes.decode, found):
            await self.redis.execute_command("ZADD", _QUEUE, now + _LEASE_MS, name)
            lease = ("SET", keys.lease(name), "worker", "PX", _LEASE_MS)
            await self.redis.execute_command(*lease)
            self._start(name, now)

    def _start(self, name: str, now: int) -> None:
        self.claimed.append(name)
        self.claimed_at[name] = self.now
        self._started_at[name] = now
        _, seconds = self._jobs[name]
        heapq.heappush(self._running, (self.now + seconds, name))

    async def end_next(self) -> str | None:
        """Let the job end that ends first, and return its owner."""
        if not self._running:
            return None
        self.now, name = heapq.heappop(self._running)
        owner, seconds = self._jobs[name]
        self.work[owner] += seconds
        await self._release(name, seconds, outcome="done")
        return owner

    async def hand_over(self, *, after: float) -> None:
        """Make the job that ends first due again, after so many seconds of service."""
        _, name = heapq.heappop(self._running)
        self.now += after
        await self._release(name, after, outcome="due")

    async def hand_back(self, name: str, *, delay_ms: int = 1) -> None:
        """Hand back a job that was claimed at this moment."""
        self._running = [(end, other) for end, other in self._running if other != name]
        heapq.heapify(self._running)
        await self._release(name, 0, outcome="handed_back", delay_ms=delay_ms)

    async def _release(
        self,
        name: str,
        seconds: float,
        *,
        outcome: Literal["done", "due", "handed_back"],
        delay_ms: int = 0,
    ) -> None:
        await self._set_service({name: seconds})
        await lease_scripts.release(
            self.redis,
            queue=_QUEUE,
            job_id=name,
            worker_id="worker",
            outcome=outcome,
            delay_ms=delay_ms,
        )

    async def end_next_as_older_version(self) -> None:
        """Let the next job end as a worker of an older version does: only remove it."""
        if self._running:
            self.now, name = heapq.heappop(self._running)
            await self.redis.execute_command("ZREM", _QUEUE, name)
            await self.redis.execute_command("DEL", keys.job(name), keys.lease(name))

    async def run_until(self, seconds: float) -> None:
        """Claim and end jobs until this time, or until none is left."""
        await self.claim()
        while self._running and self._running[0][0] <= seconds:
            await self.end_next()
            await self.claim()
        if isfinite(seconds):
            self.now = max(self.now, seconds)

    async def run_to_the_end(self) -> None:
        await self.run_until(inf)

    async def waiting(self) -> int:
        now = await redis_time_ms(self.redis)
        return await self.redis.execute_command("ZCOUNT", _QUEUE, "-inf", now)

    async def both_classes_wait(self) -> bool:
        depth = (await read_depths(self.redis, [keys.MAIN_QUEUE]))[keys.MAIN_QUEUE]
        return 0 < depth.background < depth.waiting

    @property
    def busy(self) -> int:
        """The number of slots that have a job."""
        return len(self._running)

    def claims_of(self, owner: str) -> int:
        return sum(self.owner_of(name) == owner for name in self.claimed)

    def owner_of(self, name: str) -> str:
        return self._jobs[name][0]

    def wait_of(self, name: str) -> float:
        return self.claimed_at[name] - self.added_at[name]

    def announced_waits(self, jobs: Iterable[str]) -> list[AnnouncedWait]:
        """Return the announced waits of those of these jobs that have one."""
        return [self._announced_wait(name) for name in jobs if name in self.announced]

    def _announced_wait(self, name: str) -> AnnouncedWait:
        shortest, longest, _ = self.announced[name]
        real = self.claimed_at[name] - self._announced_at[name]
        return AnnouncedWait(shortest, longest, real)
