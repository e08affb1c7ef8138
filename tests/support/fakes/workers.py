"""Records of workers."""

from shared.processes.workers import WorkerRecord
from shared.redis import keys


def record(worker_id: str, *, started_at: int = 0, running: int = 0) -> WorkerRecord:
    return WorkerRecord(
        id=worker_id,
        host="host",
        pid=1,
        started_at=started_at,
        queues=(keys.MAIN_QUEUE,),
        running=running,
        concurrency=4,
    )


def serving(worker_id: str, queue: str, *, running: int) -> WorkerRecord:
    """Return the record of a worker with 4 slots that serves one queue."""
    found = record(worker_id, running=running)
    return found.model_copy(update={"queues": (queue,)})
