"""The registry of worker processes."""

from shared.processes.registry import ProcessRecord, ProcessRegistry
from shared.redis import keys


class WorkerRecord(ProcessRecord):
    queue: str
    #: Redis keys of the queues that the worker serves; empty means every queue.
    queues: tuple[str, ...] = ()
    #: Active runs, and their maximum number.
    running: int
    concurrency: int
    #: Whether the worker takes no new jobs because it is shutting down.
    draining: bool = False

    def serves(self, queue: str) -> bool:
        return queue in self.queues or not self.queues


class WorkerRegistry(ProcessRegistry[WorkerRecord]):
    members = keys.WORKERS
    role = "worker"
    record = WorkerRecord

    def key(self, member_id: str) -> str:
        return keys.worker_record(member_id)
