"""A worker's entry in the list of those that are alive."""

import asyncio
import os
import socket
import time
from contextlib import suppress

from shared import keys
from shared.background import Background
from shared.redis import REDIS_AWAY, RedisError
from shared.workers import ALIVE_SECONDS, WorkerRecord, Workers
from worker.leased import LeasedWorker

_REMOVE_SECONDS = 1.0


class Presence(Background):
    """Renews the record for as long as the context lasts, and takes it back at its end."""

    def __init__(self, workers: Workers, worker: LeasedWorker, *, worker_id: str) -> None:
        self._workers = workers
        self._worker = worker
        self._id = worker_id
        self._started_at = time.time_ns() // 1_000_000

    async def __aexit__(self, *exc_info: object) -> None:
        await super().__aexit__(*exc_info)
        with suppress(*REDIS_AWAY, RedisError, TimeoutError):
            async with asyncio.timeout(_REMOVE_SECONDS):
                await self._workers.remove(self._id)

    async def _run(self) -> None:
        while True:
            with suppress(*REDIS_AWAY, RedisError):
                await self._workers.renew(self._record())
            await asyncio.sleep(ALIVE_SECONDS / 3)

    def _record(self) -> WorkerRecord:
        return WorkerRecord(
            id=self._id,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=self._started_at,
            queue=keys.QUEUE,
            queues=tuple(self._worker.queues()),
            running=self._worker.job_counter,
            concurrency=self._worker.max_jobs,
            draining=not self._worker.allow_pick_jobs,
        )
