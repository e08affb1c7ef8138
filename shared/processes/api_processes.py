"""Who serves: each API process renews its record, for whoever looks at the whole house."""

from shared.processes.registry import ProcessRecord, ProcessRegistry
from shared.redis import keys


class ApiRecord(ProcessRecord):
    #: Clients that follow a run now.
    clients: int = 0


class ApiRegistry(ProcessRegistry[ApiRecord]):
    members = keys.API_PROCESSES
    record = ApiRecord

    def key(self, member_id: str) -> str:
        return keys.api_record(member_id)
