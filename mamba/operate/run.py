"""`mamba run`: one run, shown, stopped, or made due again."""

import json

from mamba.cli_errors import told
from mamba.operate.deployment import Deployment
from mamba.operate.table import printable
from shared.runs.run import RunState


async def show(house: Deployment, run_id: str, *, as_json: bool) -> None:
    async with house.orders() as orders:
        fields = await orders.describe(run_id)
    if as_json:
        told(json.dumps(fields))
        return
    told("\n".join(_line(name, value) for name, value in fields.items()))


async def stop(house: Deployment, run_id: str) -> None:
    told(f"{run_id} is {await end(house, run_id)}.")


async def end(house: Deployment, run_id: str) -> RunState:
    """Stop a run as its user would: what was said stays, and its reader sees the end.

    Raises:
        Refusal: if there is no such run, or it has ended.
    """
    async with house.orders() as orders:
        return (await orders.stop_live(run_id)).state


async def requeue(house: Deployment, run_id: str) -> None:
    """Make a run due now that waits for another time, or whose job has left its queue."""
    async with house.orders() as orders:
        run = await orders.requeue(run_id)
    told(f"{run_id} is due in the queue {run.queue}.")


def _line(name: str, value: object) -> str:
    return f"{name:12}{'-' if value is None else printable(str(value))}"
