"""The tables: queues, workers, runs, failures."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text

from mamba.operate.table import ago
from mamba.operate.top.grid import Column, bar, text
from mamba.operate.top.levels import SHARE, WAIT
from shared.processes.snapshot import QueueSnapshot, RunSnapshot, SystemOverview
from shared.processes.workers import WorkerRecord
from shared.redis import keys
from shared.runs.failure_codes import MEANINGS

_BAR = 12
_STATES = {"waiting": "yellow", "running": "green", "deferred": "dim"}


class TopPanel(NamedTuple):
    columns: Sequence[Column]
    rows: list[list[Text]]
    #: What is said instead of no rows.
    empty: str
    #: The row that must be seen.
    marked: int | None = None


def queues(seen: SystemOverview) -> TopPanel:
    columns = (
        Column("QUEUE", least=8),
        Column("", rank=3),
        Column("WAITING", right=True),
        Column("RUNNING", right=True, rank=1),
        Column("DEFERRED", right=True, rank=4),
        Column("OLDEST", right=True),
        Column("WORKERS", right=True, rank=2),
    )
    longest = max((queue.waiting for queue in seen.queues), default=0)
    return TopPanel(columns, [_queue(queue, seen, longest) for queue in seen.queues], "no queue")


def _queue(queue: QueueSnapshot, seen: SystemOverview, longest: int) -> list[Text]:
    style = WAIT.style(queue.oldest_wait_ms)
    serving = sum(worker.serves(keys.queue(queue.name)) for worker in seen.serving)
    deserted = queue.waiting and not serving
    return [
        text(queue.name),
        bar(queue.waiting / longest if longest else 0.0, _BAR, style),
        text(queue.waiting),
        text(queue.running),
        text(queue.deferred),
        text(ago(queue.oldest_wait_ms), style),
        text(serving, "bold red" if deserted else ""),
    ]


def workers(seen: SystemOverview) -> TopPanel:
    columns = (
        Column("WORKER", least=12),
        Column("STATE", rank=3),
        Column("", rank=2),
        Column("RUNS", right=True),
        Column("UP", right=True, rank=1),
        Column("QUEUES", rank=4, least=10),
    )
    return TopPanel(columns, [_worker(worker) for worker in seen.workers], "no worker is alive")


def _worker(worker: WorkerRecord) -> list[Text]:
    share = worker.running / worker.concurrency if worker.concurrency else 1.0
    style = SHARE.style(share)
    served = ", ".join(keys.queue_name(key) for key in worker.queues)
    state = text("draining", "yellow") if worker.draining else text("serving", "green")
    return [
        text(worker.id),
        state,
        bar(share, _BAR, style),
        text(f"{worker.running}/{worker.concurrency}", style),
        text(ago(worker.up_ms)),
        text(served or "all"),
    ]


def runs(seen: SystemOverview, selected: str | None) -> TopPanel:
    columns = (
        Column("RUN", least=9),
        Column("STATE"),
        Column("AGENT", rank=2, least=8),
        Column("MODEL", rank=3, least=10),
        Column("QUEUE", rank=6, least=6),
        Column("TRIES", right=True, rank=4),
        Column("AGE", right=True),
        Column("WORKER", rank=5, least=12),
    )
    ids = [run.id for run in seen.live]
    marked = ids.index(selected) if selected in ids else None
    rows = [_run(run, marked=run.id == selected) for run in seen.live]
    return TopPanel(columns, rows, "none waits, and none is made", marked)


def _run(run: RunSnapshot, *, marked: bool) -> list[Text]:
    cells = [
        text(run.id),
        text(run.state, _STATES.get(run.state, "")),
        text(run.agent),
        text(run.model),
        text(run.queue),
        text(run.attempts),
        text(ago(run.age_ms)),
        text(run.worker or "-"),
    ]
    for cell in cells if marked else ():
        cell.stylize("reverse")
    return cells


def failures(seen: SystemOverview) -> TopPanel:
    columns = (
        Column("FAILED", right=True),
        Column("RUN", rank=3, least=9),
        Column("AGENT", rank=4, least=8),
        Column("MODEL", rank=2, least=10),
        Column("CODE"),
        Column("WHICH MEANS", rank=1, least=12),
    )
    return TopPanel(columns, [_failure(run, seen.at) for run in seen.failed], "none lately")


def _failure(run: RunSnapshot, now: int) -> list[Text]:
    code = run.error or "-"
    return [
        text(f"{ago(now - (run.ended_at or now))} ago"),
        text(run.id),
        text(run.agent),
        text(run.model),
        text(code, "red"),
        text(MEANINGS.get(code, "")),
    ]
