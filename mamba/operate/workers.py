"""`mamba worker list` and `mamba worker drain`."""

import json

from mamba.cli_errors import CommandFailed, told
from mamba.operate.deployment import Deployment
from mamba.operate.table import ago, in_columns
from shared.processes.workers import WorkerRecord


async def show(house: Deployment, *, as_json: bool, color: bool) -> None:
    """The workers that are alive. Without one the command fails: nobody answers."""
    alive = await house.workers.alive()
    if as_json:
        told(json.dumps([worker.model_dump(mode="json") for worker in alive]))
    elif alive:
        heads = ("WORKER", "STATE", "RUNNING", "PLACES", "UP")
        told(in_columns(heads, [_row(worker) for worker in alive], color=color))
    if not alive:
        raise CommandFailed("No worker is alive.")


async def drain(house: Deployment, worker_id: str) -> None:
    """Have a worker end as at SIGTERM: its answers may finish, or are handed over."""
    async with house.orders() as orders:
        await orders.drain(worker_id)
    told(f"{worker_id} takes nothing new, and ends.")


def _row(worker: WorkerRecord) -> tuple[object, ...]:
    state = "draining" if worker.draining else "serving"
    return (worker.id, state, worker.running, worker.concurrency, ago(worker.up_ms))
