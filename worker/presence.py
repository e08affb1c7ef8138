"""A worker as its record tells of it."""

from shared import keys
from shared.presence import Record
from shared.workers import WorkerRecord
from worker.leased import LeasedWorker


def describe(worker: LeasedWorker, process: Record) -> WorkerRecord:
    return WorkerRecord(
        **dict(process),
        queue=keys.QUEUE,
        queues=tuple(worker.queues()),
        running=worker.job_counter,
        concurrency=worker.max_jobs,
        draining=not worker.allow_pick_jobs,
    )
