"""`mamba worker list` and `mamba worker drain`."""

import json
import time
from functools import partial

from mamba.house import House, until
from mamba.readable import CommandFailed
from mamba.table import ago, in_columns
from shared.presence import ALIVE_SECONDS
from shared.workers import WorkerRecord


async def show(house: House, *, as_json: bool, color: bool) -> None:
    """The workers that are alive. Without one the command fails: nobody answers."""
    alive = await house.workers.alive()
    if as_json:
        print(json.dumps([worker.model_dump(mode="json") for worker in alive]))
    elif alive:
        heads = ("WORKER", "STATE", "RUNNING", "PLACES", "UP")
        print(in_columns(heads, [_row(worker) for worker in alive], color=color))
    if not alive:
        raise CommandFailed("No worker is alive.")


async def drain(house: House, worker_id: str) -> None:
    """Have a worker end as at SIGTERM: its answers may finish, or are handed over.

    Raises:
        CommandFailed: if there is no such worker, or it does not listen.
    """
    if worker_id not in {worker.id for worker in await house.workers.alive()}:
        raise CommandFailed(f"No worker {worker_id!r} is alive. Those that are: mamba worker list")
    await house.queue.tell(worker_id, "drain")
    if not await until(partial(_leaves, house, worker_id), seconds=ALIVE_SECONDS):
        raise CommandFailed(f"{worker_id} did not listen. Send its process SIGTERM.")
    print(f"{worker_id} takes nothing new, and ends.")


async def _leaves(house: House, worker_id: str) -> bool:
    alive = {worker.id: worker for worker in await house.workers.alive()}
    return worker_id not in alive or alive[worker_id].draining


def _row(worker: WorkerRecord) -> tuple[object, ...]:
    up = ago(time.time() * 1000 - worker.started_at)
    state = "draining" if worker.draining else "serving"
    return (worker.id, state, worker.running, worker.concurrency, up)
