"""The tables of queues, workers, runs and failures."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text

from mamba.operate.queues.pages import expected_wait, queue_note
from mamba.operate.table import duration
from mamba.operate.top.grid import Column, bar, text
from mamba.operate.top.levels import SLOTS, WAIT
from shared.monitoring.snapshot import QueueSnapshot, RunSnapshot, SystemOverview
from shared.processes.vanished import VanishedWorker
from shared.processes.workers import WorkerRecord
from shared.runs.failure_meanings import MEANINGS

_BAR_WIDTH = 12
_MAX_VANISHED = 5
_STATES = {"waiting": "yellow", "running": "green", "deferred": "dim"}


class TopPanel(NamedTuple):
    columns: Sequence[Column]
    rows: list[list[Text]]
    #: Shown if there are no rows.
    empty: str
    #: Index of the row that must stay visible.
    selected: int | None = None


def queues(overview: SystemOverview) -> TopPanel:
    columns = (
        Column("QUEUE", min_width=8),
        Column("", drop_rank=5),
        Column("WAITING", right=True),
        Column("RUNNING", right=True, drop_rank=1),
        Column("DEFERRED", right=True, drop_rank=6),
        Column("OLDEST", right=True),
        Column("EXPECTED", right=True, drop_rank=4),
        Column("WORKERS", right=True, drop_rank=3),
        Column("SLOTS", right=True),
        Column("NOTE", drop_rank=2),
    )
    longest = max((queue.waiting for queue in overview.queues), default=0)
    rows = [_queue(queue, longest) for queue in overview.queues]
    return TopPanel(columns, rows, "no queues")


def _queue(queue: QueueSnapshot, longest: int) -> list[Text]:
    style = WAIT.style(queue.oldest_wait_ms)
    share = queue.slots_used / queue.slots if queue.slots else 0.0
    note_style = "bold red" if queue.waiting or queue.full else "yellow"
    return [
        text(queue.name),
        bar(queue.waiting / longest if longest else 0.0, _BAR_WIDTH, style),
        text(queue.waiting),
        text(queue.running),
        text(queue.deferred),
        text(duration(queue.oldest_wait_ms), style),
        text(expected_wait(queue)),
        text(queue.workers, "bold red" if queue.waiting and not queue.workers else ""),
        text(f"{queue.slots_used}/{queue.slots}", SLOTS.style(share) if queue.slots else ""),
        text(queue_note(queue), note_style),
    ]


def workers(overview: SystemOverview) -> TopPanel:
    columns = (
        Column("WORKER", min_width=12),
        Column("STATE", drop_rank=3),
        Column("", drop_rank=2),
        Column("RUNS", right=True),
        Column("UP", right=True, drop_rank=1),
        Column("QUEUES", drop_rank=4, min_width=10),
    )
    rows = [_worker(worker) for worker in overview.workers]
    rows += [_vanished(worker, overview.at) for worker in overview.vanished[:_MAX_VANISHED]]
    return TopPanel(columns, rows, "no live workers")


def _vanished(worker: VanishedWorker, now: int) -> list[Text]:
    return [
        text(worker.id, "dim"),
        text("vanished", "red"),
        text(""),
        text(worker.running, "dim"),
        text(f"{duration(now - worker.seen_at)} ago", "red"),
        text(", ".join(worker.queues), "dim"),
    ]


def _worker(worker: WorkerRecord) -> list[Text]:
    share = worker.running / worker.concurrency if worker.concurrency else 1.0
    style = SLOTS.style(share)
    state = text("draining", "yellow") if worker.draining else text("serving", "green")
    return [
        text(worker.id),
        state,
        bar(share, _BAR_WIDTH, style),
        text(f"{worker.running}/{worker.concurrency}", style),
        text(duration(worker.up_ms)),
        text(", ".join(worker.queues)),
    ]


def runs(overview: SystemOverview, selected_id: str | None) -> TopPanel:
    columns = (
        Column("RUN", min_width=9),
        Column("STATE"),
        Column("AGENT", drop_rank=2, min_width=8),
        Column("MODEL", drop_rank=3, min_width=10),
        Column("QUEUE", drop_rank=6, min_width=6),
        Column("ATTEMPTS", right=True, drop_rank=4),
        Column("AGE", right=True),
        Column("WORKER", drop_rank=5, min_width=12),
    )
    ids = [run.id for run in overview.live]
    selected = ids.index(selected_id) if selected_id in ids else None
    rows = [_run(run, selected=run.id == selected_id) for run in overview.live]
    return TopPanel(columns, rows, "no live runs", selected)


def _run(run: RunSnapshot, *, selected: bool) -> list[Text]:
    cells = [
        text(run.id),
        text(run.state, _STATES.get(run.state, "")),
        text(run.agent),
        text(run.model),
        text(run.queue),
        text(run.attempts),
        text(duration(run.age_ms)),
        text(run.worker or "-"),
    ]
    for cell in cells if selected else ():
        cell.stylize("reverse")
    return cells


def failures(overview: SystemOverview) -> TopPanel:
    columns = (
        Column("FAILED", right=True),
        Column("RUN", drop_rank=3, min_width=9),
        Column("AGENT", drop_rank=4, min_width=8),
        Column("MODEL", drop_rank=2, min_width=10),
        Column("CODE"),
        Column("MEANING", drop_rank=1, min_width=12),
    )
    return TopPanel(
        columns, [_failure(run, overview.at) for run in overview.failed], "no recent failures"
    )


def _failure(run: RunSnapshot, now: int) -> list[Text]:
    code = run.error or "-"
    return [
        text(f"{duration(now - (run.ended_at or now))} ago"),
        text(run.id),
        text(run.agent),
        text(run.model),
        text(code, "red"),
        text(MEANINGS.get(code, "")),
    ]
