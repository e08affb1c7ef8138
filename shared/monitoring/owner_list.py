"""The list of owners by waiting runs, for operators. Metrics and snapshots contain no owners."""

import asyncio

from pydantic import BaseModel, ConfigDict

from shared.monitoring.snapshot import SystemMonitor
from shared.queue.waiting_owners import read_owners
from shared.redis.client import REDIS_UNAVAILABLE, RedisError
from shared.runs.stores import Stores
from shared.single_flight import SingleFlightCache

#: How many owners the console shows.
MAX_OWNERS = 20
_MAX_AGE_SECONDS = 1.0
_TIMEOUT_SECONDS = 2.0


class OwnerSnapshot(BaseModel):
    """The runs of an owner in one queue and class."""

    model_config = ConfigDict(frozen=True)

    owner: str
    queue: str
    waiting: int
    running: int
    #: Wait of the oldest waiting run in milliseconds.
    oldest_wait_ms: int
    #: The owner's weight in the fair order.
    weight: float
    background: bool = False


class OwnerRanking(BaseModel):
    """The owners with the most waiting runs first, then those with the most running ones."""

    model_config = ConfigDict(frozen=True)

    owners: tuple[OwnerSnapshot, ...] = ()
    #: The number of all owners with waiting runs; an owner counts once for each queue and class.
    waiting_owners: int = 0


class OwnerList:
    """Reads the ranking of owners over all queues, and caches it."""

    def __init__(self, stores: Stores, monitor: SystemMonitor) -> None:
        self._redis = stores.queue_redis
        self._runs = stores.runs
        self._monitor = monitor
        self._cache = SingleFlightCache(self._load)

    async def latest(self) -> OwnerRanking:
        """Return a ranking at most one second old, or the last one if Redis does not respond."""
        return await self._cache.get(max_age_seconds=_MAX_AGE_SECONDS)

    async def read(self, limit: int) -> OwnerRanking:
        """Return a new ranking with at most `limit` owners.

        Raises:
            REDIS_UNAVAILABLE, RedisError: if Redis does not respond.
        """
        queues = await self._monitor.queue_names()
        found = [await read_owners(self._redis, queue, limit) for queue in queues]
        rows = [row for of_queue in found for row in of_queue.owners]
        rows.sort(key=lambda row: (row.waiting, row.running), reverse=True)
        runs = await self._runs.fields_of([row.job_id for row in rows[:limit]], ["owner"])
        owners = [
            OwnerSnapshot(
                owner=owner,
                queue=row.queue,
                waiting=row.waiting,
                running=row.running,
                oldest_wait_ms=row.oldest_wait_ms,
                weight=row.weight,
                background=row.background,
            )
            for row in rows[:limit]
            if (owner := runs[row.job_id][0]) is not None  # titles have no run
        ]
        total = sum(of_queue.waiting for of_queue in found)
        return OwnerRanking(owners=tuple(owners), waiting_owners=total)

    async def _load(self) -> OwnerRanking:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                return await self.read(MAX_OWNERS)
        except (*REDIS_UNAVAILABLE, RedisError, TimeoutError):
            return self._cache.latest or OwnerRanking()
