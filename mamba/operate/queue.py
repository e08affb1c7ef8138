"""`mamba queue`: the depth of each queue and its runs."""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from mamba.cli_errors import print_now
from mamba.operate.deployment import RESPONSE_SECONDS, Deployment
from mamba.operate.table import duration, in_columns
from shared.monitoring.snapshot import QueueSnapshot, SystemMonitor
from shared.runs.live_runs import LiveRun

_WATCH_SECONDS = 2.0
_CLEAR_SCREEN = "\x1b[H\x1b[2J"


async def show(deployment: Deployment, *, limit: int, as_json: bool, color: bool) -> None:
    monitor = deployment.system_monitor()
    print_now(await _page(deployment, monitor, limit, as_json=as_json, color=color))


async def watch(deployment: Deployment, *, limit: int, as_json: bool, color: bool) -> None:
    """Print the page repeatedly. On a terminal, each replaces the one before."""
    redraws = sys.stdout.isatty() and not as_json
    monitor = deployment.system_monitor()
    while True:
        async with asyncio.timeout(RESPONSE_SECONDS):
            page = await _page(deployment, monitor, limit, as_json=as_json, color=color)
        if not print_now(f"{_CLEAR_SCREEN}{page}" if redraws else page):
            return
        await asyncio.sleep(_WATCH_SECONDS)


async def _page(
    deployment: Deployment, monitor: SystemMonitor, limit: int, *, as_json: bool, color: bool
) -> str:
    system = await monitor.read_snapshot()
    queues = system.queues
    live = await deployment.stores.live_runs.read([queue.name for queue in queues], limit)
    if as_json:
        return json.dumps(
            {"queues": [_queue_json(queue) for queue in queues], "runs": [*map(_run_json, live)]}
        )
    total = sum(queue.waiting + queue.running + queue.deferred for queue in queues)
    return f"{_queues(queues, color=color)}\n\n{_runs(live, system.at, total, color=color)}"


def _queues(queues: Sequence[QueueSnapshot], *, color: bool) -> str:
    headers = ("QUEUE", "WAITING", "RUNNING", "DEFERRED", "OLDEST", "WORKERS", "SLOTS")
    rows = [_queue_row(queue) for queue in queues]
    notes = [queue_note(queue) for queue in queues]
    if any(notes):
        headers = (*headers, "NOTE")
        rows = [(*row, note) for row, note in zip(rows, notes, strict=True)]
    return in_columns(headers, rows, color=color)


def _queue_row(queue: QueueSnapshot) -> tuple[object, ...]:
    depth = (queue.waiting, queue.running, queue.deferred, duration(queue.oldest_wait_ms))
    slots = f"{queue.slots_used}/{queue.slots}"
    return (queue.name, *depth, queue.workers, slots)


def queue_note(queue: QueueSnapshot) -> str:
    """Return why runs of this queue wait, or would wait."""
    if not queue.workers:
        return "no worker serves it"
    return "all slots in use" if queue.full else ""


def _runs(live: list[LiveRun], now: int, total: int, *, color: bool) -> str:
    if not live:
        return "No runs are waiting or running."
    headers = ("RUN", "STATE", "AGENT", "MODEL", "ATTEMPTS", "AGE", "WORKER")
    table = in_columns(headers, [_row(live_run, now) for live_run in live], color=color)
    hidden = total - len(live)
    return f"{table}\n… and {hidden} more (--limit)" if hidden > 0 else table


def _row(live_run: LiveRun, now: int) -> tuple[object, ...]:
    run = live_run.run
    age = duration(now - run.admitted_at)
    state, worker = live_run.state, live_run.worker or "-"
    return (run.id, state, run.agent, run.model, run.attempts, age, worker)


def _queue_json(queue: QueueSnapshot) -> dict[str, Any]:
    fields = queue.model_dump()
    return {"queue": fields.pop("name"), **fields}


def _run_json(live_run: LiveRun) -> dict[str, Any]:
    fields = live_run.run.model_dump(mode="json")
    return {**fields, "worker": live_run.worker, "due_at": live_run.due_at}
