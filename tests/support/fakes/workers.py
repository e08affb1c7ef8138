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
