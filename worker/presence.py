"""A worker as its record tells of it."""

from collections.abc import Callable

from shared import keys
from shared.presence import Identity
from shared.workers import WorkerRecord
from worker.leased import LeasedWorker


def description(worker: LeasedWorker, identity: Identity) -> Callable[[], WorkerRecord]:
    """Says, whenever it is called, what the worker does then."""

    def describe() -> WorkerRecord:
        return WorkerRecord(
            **dict(identity.record()),
            queue=keys.QUEUE,
            queues=tuple(worker.queues()),
            running=worker.job_counter,
            concurrency=worker.max_jobs,
            draining=not worker.allow_pick_jobs,
        )

    return describe
