"""`mamba run`: one run, shown, stopped, or made due again."""

import json
from functools import partial

from mamba.house import House, until
from mamba.readable import CommandFailed
from shared.closing import close_run
from shared.events import Abort
from shared.runs import Run, RunState
from shared.stream import Closure

#: How long a worker may take to end a run that it was told to stop.
_STOP_SECONDS = 5.0


async def show(house: House, run_id: str, *, as_json: bool) -> None:
    run = await _get(house, run_id)
    worker = await house.queue.leased_by(run_id)
    offset = (await house.stream.tail(run_id)).offset
    fields = {**run.model_dump(mode="json"), "worker": worker, "events": offset}
    if as_json:
        print(json.dumps(fields))
        return
    for name, value in fields.items():
        print(f"{name:12}{'-' if value is None else value}")


async def stop(house: House, run_id: str) -> None:
    print(f"{run_id} is {await end(house, run_id)}.")


async def end(house: House, run_id: str) -> RunState:
    """Stop a run as its user would: what was said stays, and its reader sees the end.

    Raises:
        CommandFailed: if there is no such run, or it has ended.
    """
    run = await _get(house, run_id)
    _check_live(run)
    await house.runs.request_cancel(run_id)
    if worker := await house.queue.leased_by(run_id):
        await house.queue.tell(worker, f"stop {run_id}")
        await until(partial(_has_ended, house, run_id), seconds=_STOP_SECONDS)
    closure = Closure(RunState.CANCELLED)
    if await close_run(house.stream, run, [Abort()], closure):
        await house.queue.remove(run_id, queue=run.queue)
    return (await _get(house, run_id)).state


async def requeue(house: House, run_id: str) -> None:
    """Make a run due now that waits for another time, or whose job has left its queue."""
    run = await _get(house, run_id)
    _check_live(run)
    match await house.queue.requeue(run_id, queue=run.queue):
        case "held":
            worker = await house.queue.leased_by(run_id)
            raise CommandFailed(
                f"Worker {worker} works on it. To move it elsewhere: mamba worker drain {worker}"
            )
        case "gone":
            raise CommandFailed(f"Its job is gone. End it: mamba run stop {run_id}")
        case _:
            print(f"{run_id} is due in the queue {run.queue}.")


async def _get(house: House, run_id: str) -> Run:
    run = await house.runs.get(run_id)
    if run is None:
        raise CommandFailed(f"There is no run {run_id!r}, or it is no longer kept.")
    return run


def _check_live(run: Run) -> None:
    if run.state.ended:
        raise CommandFailed(f"The run has ended: it is {run.state}.")


async def _has_ended(house: House, run_id: str) -> bool:
    return (await _get(house, run_id)).state.ended
