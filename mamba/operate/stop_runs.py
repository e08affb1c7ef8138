"""`mamba run stop`: one run, several, or all live runs that match a filter."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from mamba.cli_errors import CommandFailed, confirm, print_now
from mamba.operate.deployment import Deployment
from mamba.operate.run import find
from shared.errors import NotFound, RunEnded
from shared.runs.control import RunControl
from shared.runs.run_list import RunFilter

#: More runs wait in no queue that Mamba is made for.
_MAX_RUNS = 100_000
#: How many runs are stopped at the same time. Each waits for its worker.
_CONCURRENCY = 16


async def stop(deployment: Deployment, run_id: str) -> None:
    async with deployment.run_control() as control:
        run = await control.stop_live(run_id)
    await deployment.record("ops.run_stopped", run_id=run_id)
    print_now(f"{run_id} is {run.state}.")


async def stop_matching(
    deployment: Deployment, wanted: RunFilter, *, dry_run: bool, confirmed: bool
) -> None:
    """Stop all live runs that match.

    Raises:
        CommandFailed: if the user does not confirm, or a run could not be stopped.
    """
    found = await find(deployment, wanted, limit=_MAX_RUNS, scan_limit=_MAX_RUNS)
    ids = [run.id for run in found.runs]
    if not ids:
        print_now("No live run matches.")
        return
    if dry_run:
        states = Counter(run.state.value for run in found.runs)
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        print_now("\n".join([*ids, f"Would stop {format_count(len(ids))}: {counts}."]))
        return
    if not confirmed:
        runs = format_count(len(ids))
        confirm(f"Stop {runs} permanently?", f"Nothing was stopped. To stop {runs}")
    await stop_all(deployment, ids)


def format_count(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"


async def stop_all(deployment: Deployment, run_ids: Sequence[str]) -> None:
    """Stop runs, and report how many were stopped, had ended, and are not stored."""
    slots = asyncio.Semaphore(_CONCURRENCY)
    async with deployment.run_control() as control:

        async def stop_one(run_id: str) -> str:
            async with slots:
                return await _outcome(deployment, control, run_id)

        outcomes = Counter(await asyncio.gather(*map(stop_one, run_ids)))
    print_now(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) + ".")
    if outcomes["not found"]:
        raise CommandFailed("Some runs do not exist, or are no longer stored.")


async def _outcome(deployment: Deployment, control: RunControl, run_id: str) -> str:
    try:
        run = await control.stop_live(run_id)
    except RunEnded:
        return "had already ended"
    except NotFound:
        return "not found"
    await deployment.record("ops.run_stopped", run_id=run_id)
    return "stopped" if run.state == "cancelled" else f"ended as {run.state}"
