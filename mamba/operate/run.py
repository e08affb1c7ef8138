"""`mamba run show`, `mamba run stop` and `mamba run requeue`."""

import json

from mamba.cli_errors import print_now
from mamba.operate.deployment import Deployment
from mamba.operate.table import printable


async def show(deployment: Deployment, run_id: str, *, as_json: bool) -> None:
    async with deployment.run_control() as control:
        fields = await control.describe(run_id)
    if as_json:
        print_now(json.dumps(fields))
    else:
        print_now("\n".join(_line(name, value) for name, value in fields.items()))


async def stop(deployment: Deployment, run_id: str) -> None:
    async with deployment.run_control() as control:
        run = await control.stop_live(run_id)
    print_now(f"{run_id} is {run.state}.")


async def requeue(deployment: Deployment, run_id: str) -> None:
    async with deployment.run_control() as control:
        run = await control.requeue(run_id)
    print_now(f"{run_id} is due in the queue {run.queue}.")


def _line(name: str, value: object) -> str:
    return f"{name:12}{'-' if value is None else printable(str(value))}"
