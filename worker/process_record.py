"""The process registry's record of a worker."""

from shared.processes.registry import ProcessRecord
from shared.processes.workers import WorkerRecord
from worker.queue.lease_worker import LeaseWorker


def worker_record(worker: LeaseWorker, process: ProcessRecord) -> WorkerRecord:
    return WorkerRecord(
        **dict(process),
        queues=tuple(worker.queues()),
        running=worker.job_counter,
        concurrency=worker.max_jobs,
        draining=not worker.allow_pick_jobs,
    )
