"""`mamba queue`: the depth of each queue and its runs, or the owners of the runs."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from mamba.cli_errors import print_now
from mamba.operate.deployment import RESPONSE_SECONDS, Deployment
from mamba.operate.table import duration, in_columns, printable
from shared.monitoring.owner_list import OwnerList, OwnerSnapshot
from shared.monitoring.snapshot import QueueSnapshot, SystemMonitor, SystemSnapshot
from shared.queue.pauses import QueuePause
from shared.runs.live_runs import LiveRun

_WATCH_SECONDS = 2.0
_CLEAR_SCREEN = "\x1b[H\x1b[2J"


class PageOptions(NamedTuple):
    #: Maximum number of rows.
    limit: int
    as_json: bool
    color: bool


_ReadPage = Callable[[Deployment, SystemMonitor, PageOptions], Awaitable[str]]


async def show(deployment: Deployment, read_page: _ReadPage, options: PageOptions) -> None:
    print_now(await read_page(deployment, deployment.system_monitor(), options))


async def watch(deployment: Deployment, read_page: _ReadPage, options: PageOptions) -> None:
    """Print the page repeatedly. On a terminal, each replaces the one before."""
    redraws = sys.stdout.isatty() and not options.as_json
    monitor = deployment.system_monitor()
    while True:
        async with asyncio.timeout(RESPONSE_SECONDS):
            page = await read_page(deployment, monitor, options)
        if not print_now(f"{_CLEAR_SCREEN}{page}" if redraws else page):
            return
        await asyncio.sleep(_WATCH_SECONDS)


async def read_queues(deployment: Deployment, monitor: SystemMonitor, options: PageOptions) -> str:
    """Return the depth of each queue, the pauses, and the waiting and running runs."""
    system = await monitor.read_snapshot()
    queues = system.queues
    live = await deployment.stores.live_runs.read([queue.name for queue in queues], options.limit)
    if options.as_json:
        return json.dumps(
            {
                "queues": [_queue_json(queue) for queue in queues],
                "pauses": [pause.model_dump() for pause in system.pauses],
                "runs": [*map(_run_json, live)],
            }
        )
    total = sum(queue.waiting + queue.running + queue.deferred for queue in queues)
    color = options.color
    parts = [_queues(queues, color=color), _runs(live, system.at, total, color=color)]
    if system.pauses:
        parts.insert(1, _pauses(system))
    return "\n\n".join(parts)


async def read_owners(deployment: Deployment, monitor: SystemMonitor, options: PageOptions) -> str:
    """Return the owners with the most waiting runs."""
    ranking = await OwnerList(deployment.stores, monitor).read(options.limit)
    if options.as_json:
        return ranking.model_dump_json()
    if not ranking.owners:
        return "No runs are waiting or running."
    headers = ("OWNER", "QUEUE", "WAITING", "RUNNING", "OLDEST", "WEIGHT")
    table = in_columns(
        headers, [_owner_row(owner) for owner in ranking.owners], color=options.color
    )
    hidden = ranking.waiting_owners - sum(owner.waiting > 0 for owner in ranking.owners)
    return f"{table}\n… and {hidden} more owners with waiting runs (--limit)" if hidden else table


def _queues(queues: Sequence[QueueSnapshot], *, color: bool) -> str:
    headers = ("QUEUE", "WAITING", "RUNNING", "DEFERRED", "OLDEST", "EXPECTED", "WORKERS", "SLOTS")
    rows = [_queue_row(queue) for queue in queues]
    notes = [queue_note(queue) for queue in queues]
    if any(notes):
        headers = (*headers, "NOTE")
        rows = [(*row, note) for row, note in zip(rows, notes, strict=True)]
    return in_columns(headers, rows, color=color)


def _queue_row(queue: QueueSnapshot) -> tuple[object, ...]:
    depth = (queue.waiting, queue.running, queue.deferred, duration(queue.oldest_wait_ms))
    slots = f"{queue.slots_used}/{queue.slots}"
    return (queue.name, *depth, expected_wait(queue), queue.workers, slots)


def expected_wait(queue: QueueSnapshot) -> str:
    """Return how long a run that is added now will probably wait."""
    return "-" if queue.expected_wait_ms is None else duration(queue.expected_wait_ms)


def queue_note(queue: QueueSnapshot) -> str:
    """Return what is paused, and why runs of this queue wait, or would wait."""
    notes: list[str] = []
    if queue.intake_paused:
        notes.append("intake paused")
    if queue.processing_paused:
        notes.append("processing paused")
    if not queue.workers:
        notes.append("no worker serves it")
    elif queue.full:
        notes.append("all slots in use")
    if queue.background:
        notes.append(f"{queue.background} waiting in the background")
    return ", ".join(notes)


def _pauses(system: SystemSnapshot) -> str:
    return "\n".join(printable(_pause_line(pause, system.at)) for pause in system.pauses)


def _pause_line(pause: QueuePause, now: int) -> str:
    """Return what is paused, since when, and by whom."""
    return f"Paused: {pause}, {duration(now - pause.at)} ago by {pause.operator}"


def _runs(live: list[LiveRun], now: int, total: int, *, color: bool) -> str:
    if not live:
        return "No runs are waiting or running."
    headers = ("RUN", "STATE", "PRIORITY", "AGENT", "MODEL", "ATTEMPTS", "AGE", "WORKER")
    table = in_columns(headers, [_row(live_run, now) for live_run in live], color=color)
    hidden = total - len(live)
    return f"{table}\n… and {hidden} more (--limit)" if hidden > 0 else table


def _row(live_run: LiveRun, now: int) -> tuple[object, ...]:
    run = live_run.run
    age = duration(now - run.admitted_at)
    state, worker = live_run.state, live_run.worker or "-"
    return (run.id, state, run.priority, run.agent, run.model, run.attempts, age, worker)


def _owner_row(owner: OwnerSnapshot) -> tuple[object, ...]:
    oldest = duration(owner.oldest_wait_ms) if owner.waiting else "-"
    counts = (owner.waiting, owner.running, oldest, f"{owner.weight:g}")
    queue = f"{owner.queue} (background)" if owner.background else owner.queue
    return (owner.owner, queue, *counts)


def _queue_json(queue: QueueSnapshot) -> dict[str, Any]:
    fields = queue.model_dump()
    return {"queue": fields.pop("name"), **fields}


def _run_json(live_run: LiveRun) -> dict[str, Any]:
    fields = live_run.run.model_dump(mode="json")
    return {**fields, "worker": live_run.worker, "due_at": live_run.due_at}
