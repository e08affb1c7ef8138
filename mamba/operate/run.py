"""`mamba run show`, `mamba run list`, `mamba run requeue` and `mamba run move-to-front`."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from mamba.cli_errors import print_now
from mamba.operate.deployment import Deployment
from mamba.operate.operator_name import current_operator
from mamba.operate.table import duration, in_columns, printable
from shared.runs.failure_meanings import MEANINGS
from shared.runs.run import Run
from shared.runs.run_list import FoundRuns, RunFilter

#: The newest date that a terminal shows: the year 9999.
_MAX_MS = 253_402_300_799_000


async def show(deployment: Deployment, run_id: str, *, as_json: bool) -> None:
    async with deployment.run_control() as control:
        fields = await control.describe(run_id)
    if as_json:
        print_now(json.dumps(fields))
        return
    now = await deployment.redis_time_ms()
    lines = [f"{name:12}{printable(str(value))}" for name, value in _facts(fields, now)]
    print_now("\n".join([*lines, *_attempts(fields, now)]))


async def list_runs(
    deployment: Deployment, wanted: RunFilter, *, limit: int, scan_limit: int, as_json: bool
) -> None:
    found = await find(deployment, wanted, limit=limit, scan_limit=scan_limit)
    if as_json:
        runs = [run.model_dump(mode="json") for run in found.runs]
        print_now(json.dumps({"runs": runs, "searched": found.scanned, "more": found.more}))
        return
    now = await deployment.redis_time_ms()
    if found.runs:
        headers = ("RUN", "STATE", "AGENT", "MODEL", "OWNER", "CHAT", "ACCEPTED", "TOOK", "ERROR")
        print_now(in_columns(headers, [_row(run, now) for run in found.runs], color=False))
    else:
        print_now("No stored run matches.")
    if found.more:
        print_now(f"… scanned {found.scanned} runs; there may be more (--limit, --scan-limit)")


async def find(
    deployment: Deployment, wanted: RunFilter, *, limit: int, scan_limit: int
) -> FoundRuns:
    queues = await deployment.system_monitor().queue_names()
    return await deployment.run_list.find(queues, wanted, limit=limit, scan_limit=scan_limit)


async def requeue(deployment: Deployment, run_id: str) -> None:
    async with deployment.run_control() as control:
        run = await control.requeue(run_id)
    await deployment.record("ops.run_requeued", run_id=run_id)
    print_now(f"{run_id} is due in the queue {run.queue}.")


async def move_to_front(deployment: Deployment, run_id: str) -> None:
    async with deployment.run_control() as control:
        run = await control.move_to_front(run_id, operator=current_operator())
    await deployment.record("ops.run_moved_to_front", run_id=run_id)
    print_now(f"{run_id} is now the first run in the queue {run.queue}.")


def local_time(milliseconds: int | None) -> str:
    """Format a time as ISO 8601 in the local time zone."""
    if milliseconds is None:
        return "-"
    if not 0 <= milliseconds <= _MAX_MS:
        return str(milliseconds)
    at = datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone()
    return at.isoformat(sep=" ", timespec="seconds")


def _facts(run: dict[str, Any], now: int) -> Iterator[tuple[str, object]]:
    code = run["error"]
    meaning = f" ({code}: {MEANINGS.get(code, 'unknown code')})" if code else ""
    started, ended = run["started_at"], run["ended_at"]
    yield "run", run["id"]
    yield "state", f"{run['state']}{meaning}"
    for name in ("owner", "chat_id", "agent", "model", "queue", "priority", "request_id"):
        yield name, run[name]
    accepted = run["admitted_at"]
    yield "accepted", f"{local_time(accepted)}, {duration(now - accepted)} ago"
    if started is None:
        yield "started", "-"
    else:
        wait = duration(started - accepted)
        yield "started", f"{local_time(started)}, after {wait} in the queue"
        running = duration((ended or now) - started)
        yield (
            "ended",
            f"{local_time(ended)}, after {running}" if ended else f"running for {running}",
        )
    yield "worker", run["worker"] or (f"{run['last_worker']} (last)" if run["last_worker"] else "-")
    if run["moved_by"]:
        yield "moved", f"to the front of its queue by {run['moved_by']}"
    yield "attempts", _attempt_counts(run)
    if tokens := run["tokens"]:
        cached = f" ({tokens['cache_read_tokens']} cached)" if tokens["cache_read_tokens"] else ""
        yield "tokens", f"{tokens['input_tokens']} input{cached}, {tokens['output_tokens']} output"
    else:
        yield "tokens", "-"
    yield "events", run["events"]
    if run["continues"]:
        yield "continues", run["continues"]
    if run.get("upstream"):
        yield "upstream", run["upstream"]
    if run["stop_requests"]:
        yield "stop", f"requested {run['stop_requests']} times"


def _attempt_counts(run: dict[str, Any]) -> str:
    crashed = sum(attempt["outcome"] == "crashed" for attempt in run["attempt_log"])
    counts = {"failed": run["failures"], "handed over": run["handovers"], "crashed": crashed}
    details = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"{run['attempts']} ({details})" if details else str(run["attempts"])


def _attempts(run: dict[str, Any], now: int) -> Iterator[str]:
    if not run["attempt_log"]:
        return
    headers = ("ATTEMPT", "OUTCOME", "CODE", "STARTED", "TOOK", "WORKER")
    rows = [
        (
            attempt["number"],
            attempt["outcome"],
            attempt["code"] or "-",
            local_time(attempt["started_at"]),
            _took(attempt, now),
            attempt["worker"] or "-",
        )
        for attempt in run["attempt_log"]
    ]
    yield ""
    yield in_columns(headers, rows, color=False)


def _took(attempt: dict[str, Any], now: int) -> str:
    started, ended = attempt["started_at"], attempt["ended_at"]
    if attempt["outcome"] == "running":
        ended = now
    return "-" if started is None or ended is None else duration(ended - started)


def _row(run: Run, now: int) -> tuple[object, ...]:
    took = duration((run.ended_at or now) - run.admitted_at)
    names = (run.id, run.state.value, run.agent, run.model, run.owner, run.chat_id)
    return (*names, local_time(run.admitted_at), took, run.error or "-")
