"""`mamba queue`: the depth of each queue and its runs."""

import asyncio
import json
import sys
from typing import Any

from mamba.cli_errors import print_now
from mamba.operate.deployment import RESPONSE_SECONDS, Deployment
from mamba.operate.table import duration, in_columns
from shared.queue.queue_depth import QueueDepth, read_depths
from shared.runs.live_runs import LiveRun

_WATCH_SECONDS = 2.0
_CLEAR_SCREEN = "\x1b[H\x1b[2J"


async def show(deployment: Deployment, *, limit: int, as_json: bool, color: bool) -> None:
    print_now(await _page(deployment, limit, as_json=as_json, color=color))


async def watch(deployment: Deployment, *, limit: int, as_json: bool, color: bool) -> None:
    """Print the page repeatedly. On a terminal, each replaces the one before."""
    redraws = sys.stdout.isatty() and not as_json
    while True:
        async with asyncio.timeout(RESPONSE_SECONDS):
            page = await _page(deployment, limit, as_json=as_json, color=color)
        if not print_now(f"{_CLEAR_SCREEN}{page}" if redraws else page):
            return
        await asyncio.sleep(_WATCH_SECONDS)


async def _page(deployment: Deployment, limit: int, *, as_json: bool, color: bool) -> str:
    depths = await read_depths(deployment.redis, await deployment.queue_names())
    live = await deployment.stores.live_runs.read(list(depths), limit)
    now = await _redis_time_ms(deployment)
    if as_json:
        return json.dumps({"queues": _queues_json(depths), "runs": [_run_json(r) for r in live]})
    runs = _runs(live, now, sum(sum(depth[:3]) for depth in depths.values()), color=color)
    return f"{_queues(depths, color=color)}\n\n{runs}"


async def _redis_time_ms(deployment: Deployment) -> int:
    """Ages use the clock of Redis, like due times."""
    seconds, micros = await deployment.redis.execute_command("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


def _queues(depths: dict[str, QueueDepth], *, color: bool) -> str:
    rows = [(name, *depth[:3], duration(depth.oldest_wait_ms)) for name, depth in depths.items()]
    return in_columns(("QUEUE", "WAITING", "RUNNING", "DEFERRED", "OLDEST"), rows, color=color)


def _runs(live: list[LiveRun], now: int, total: int, *, color: bool) -> str:
    if not live:
        return "No runs are waiting or running."
    headers = ("RUN", "STATE", "AGENT", "MODEL", "ATTEMPTS", "AGE", "WORKER")
    table = in_columns(headers, [_row(live_run, now) for live_run in live], color=color)
    hidden = total - len(live)
    return f"{table}\n… and {hidden} more (--most)" if hidden > 0 else table


def _row(live_run: LiveRun, now: int) -> tuple[object, ...]:
    run = live_run.run
    age = duration(now - run.created_at)
    state, worker = live_run.state, live_run.worker or "-"
    return (run.id, state, run.agent, run.model, run.attempts, age, worker)


def _queues_json(depths: dict[str, QueueDepth]) -> list[dict[str, Any]]:
    return [{"queue": name, **depth._asdict()} for name, depth in depths.items()]


def _run_json(live_run: LiveRun) -> dict[str, Any]:
    fields = live_run.run.model_dump(mode="json")
    return {**fields, "worker": live_run.worker, "due_at": live_run.due_at}
