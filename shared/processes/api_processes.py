"""The registry of API processes."""

from shared.processes.registry import ProcessRecord, ProcessRegistry
from shared.redis import keys


class ApiRecord(ProcessRecord):
    #: Clients that currently follow a run.
    clients: int = 0


class ApiRegistry(ProcessRegistry[ApiRecord]):
    members = keys.API_PROCESSES
    role = "api"
    record = ApiRecord

    def key(self, member_id: str) -> str:
        return keys.api_record(member_id)
