"""Who works: each worker process renews its record, the API and operators' commands read them."""

from shared.processes.registry import ProcessRecord, ProcessRegistry
from shared.redis import keys


class WorkerRecord(ProcessRecord):
    queue: str
    #: The keys of the queues that it serves; empty of a worker that does not say.
    queues: tuple[str, ...] = ()
    #: Runs it works on, and how many it would take.
    running: int
    concurrency: int
    #: Takes nothing new: it is on its way out.
    draining: bool = False

    def serves(self, queue: str) -> bool:
        return queue in self.queues or not self.queues


class WorkerRegistry(ProcessRegistry[WorkerRecord]):
    members = keys.WORKERS
    record = WorkerRecord

    def key(self, member_id: str) -> str:
        return keys.worker_record(member_id)
