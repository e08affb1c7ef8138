"""`mamba queue`: what waits, what runs, and for how long."""

import asyncio
import json
import sys
from typing import Any

from mamba.cli_errors import told
from mamba.operate.deployment import ANSWER_SECONDS, Deployment
from mamba.operate.table import ago, in_columns
from shared.queue.job_queue import QueueDepth
from shared.runs.live_runs import LiveRun

_WATCH_SECONDS = 2.0
_CLEAR = "\x1b[H\x1b[2J"


async def show(house: Deployment, *, most: int, as_json: bool, color: bool) -> None:
    told(await _page(house, most, as_json=as_json, color=color))


async def watch(house: Deployment, *, most: int, as_json: bool, color: bool) -> None:
    """Show it again and again: on a terminal in one place, else one after the other."""
    while True:
        async with asyncio.timeout(ANSWER_SECONDS):
            page = await _page(house, most, as_json=as_json, color=color)
        if not told(f"{_CLEAR}{page}" if sys.stdout.isatty() and not as_json else page):
            return
        await asyncio.sleep(_WATCH_SECONDS)


async def _page(house: Deployment, most: int, *, as_json: bool, color: bool) -> str:
    depths = await house.queue.depths(await house.queues())
    live = await house.live_runs.both(list(depths), most)
    now = await _now(house)
    if as_json:
        return json.dumps({"queues": _queues_json(depths), "runs": [_run_json(r) for r in live]})
    runs = _runs(live, now, sum(sum(depth[:3]) for depth in depths.values()), color=color)
    return f"{_queues(depths, color=color)}\n\n{runs}"


async def _now(house: Deployment) -> int:
    """Redis' own time, in milliseconds: what is due is due by it."""
    seconds, micros = await house.redis.execute_command("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


def _queues(depths: dict[str, QueueDepth], *, color: bool) -> str:
    rows = [(name, *depth[:3], ago(depth.oldest_wait_ms)) for name, depth in depths.items()]
    return in_columns(("QUEUE", "WAITING", "RUNNING", "DEFERRED", "OLDEST"), rows, color=color)


def _runs(live: list[LiveRun], now: int, count: int, *, color: bool) -> str:
    if not live:
        return "No run waits, and none runs."
    heads = ("RUN", "STATE", "AGENT", "MODEL", "ATTEMPTS", "AGE", "WORKER")
    shown = in_columns(heads, [_row(one, now) for one in live], color=color)
    return f"{shown}\n… and {count - len(live)} more (--most)" if count > len(live) else shown


def _row(one: LiveRun, now: int) -> tuple[object, ...]:
    run = one.run
    age = ago(now - run.created_at)
    return (run.id, one.state, run.agent, run.model, run.attempts, age, one.worker or "-")


def _queues_json(depths: dict[str, QueueDepth]) -> list[dict[str, Any]]:
    return [{"queue": name, **depth._asdict()} for name, depth in depths.items()]


def _run_json(one: LiveRun) -> dict[str, Any]:
    return {**one.run.model_dump(mode="json"), "worker": one.worker, "due_at": one.due_at}
