"""`mamba worker list` and `mamba worker drain`."""

import json

from mamba.cli_errors import CommandFailed, print_now
from mamba.operate.deployment import Deployment
from mamba.operate.table import duration, in_columns
from shared.processes.workers import WorkerRecord


async def show(deployment: Deployment, *, as_json: bool, color: bool) -> None:
    """Print the live workers.

    Raises:
        CommandFailed: if there are none.
    """
    workers = await deployment.workers.alive()
    if as_json:
        print_now(json.dumps([worker.model_dump(mode="json") for worker in workers]))
    elif workers:
        headers = ("WORKER", "STATE", "RUNNING", "SLOTS", "UP")
        print_now(in_columns(headers, [_row(worker) for worker in workers], color=color))
    if not workers:
        raise CommandFailed("No worker is alive. Start one: mamba worker")


async def drain(deployment: Deployment, worker_id: str) -> None:
    async with deployment.run_control() as control:
        await control.drain(worker_id)
    await deployment.record("ops.worker_drained", worker_id=worker_id)
    print_now(f"{worker_id} is draining: it takes no new runs and will exit.")


def _row(worker: WorkerRecord) -> tuple[object, ...]:
    state = "draining" if worker.draining else "serving"
    return (worker.id, state, worker.running, worker.concurrency, duration(worker.up_ms))
