"""The registry of worker processes."""

from typing import Annotated

from pydantic import AfterValidator, PlainSerializer

from shared.processes.registry import ProcessRecord, ProcessRegistry
from shared.redis import keys


def _names(stored: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(keys.queue_name(key) for key in stored)


def _keys(names: tuple[str, ...]) -> list[str]:
    return [keys.queue(name) for name in names]


#: Names of queues. In JSON they are Redis keys.
QueueNames = Annotated[tuple[str, ...], AfterValidator(_names), PlainSerializer(_keys)]


class WorkerRecord(ProcessRecord):
    #: The queues that the worker serves.
    queues: QueueNames
    #: Active runs, and their maximum number.
    running: int
    concurrency: int
    #: Whether the worker takes no new runs because it is shutting down.
    draining: bool = False

    def serves(self, queue: str) -> bool:
        return queue in self.queues


class WorkerRegistry(ProcessRegistry[WorkerRecord]):
    members = keys.WORKERS
    role = "worker"
    record = WorkerRecord

    def key(self, member_id: str) -> str:
        return keys.worker_record(member_id)
