"""What is there, in a few words: Redis, workers, places, API processes."""

import time

from rich.text import Text

from mamba.operate.top.grid import apart, bar, flow, text
from mamba.operate.top.levels import LATENCY, SHARE
from shared.processes.snapshot import RedisSnapshot, SystemOverview

_BAR = 10


def header(seen: SystemOverview, where: str, said: str, width: int) -> list[Text]:
    """The title with what is `said` of this view, then a line or more of what is there."""
    clock = time.strftime("%H:%M:%S", time.localtime(seen.at / 1000)) if seen.at else "--:--:--"
    title = Text.assemble(text("mamba top", "bold"), "  ", text(where, "dim"))
    items = [_redis(seen.redis), _workers(seen), _places(seen), _apis(seen)]
    return [apart(title, text(f"{said}  {clock}"), width), *flow(items, width)]


def _redis(redis: RedisSnapshot) -> Text:
    if not redis.up:
        return Text.assemble("Redis ", ("away", "bold red"))
    latency = redis.latency_ms or 0.0
    told = Text.assemble("Redis ", (f"{latency:.1f} ms", LATENCY.style(latency)))
    if redis.memory_bytes is not None:
        share = redis.memory_bytes / redis.memory_limit_bytes if redis.memory_limit_bytes else 0
        limit = f" of {_size(redis.memory_limit_bytes)}" if redis.memory_limit_bytes else ""
        told.append_text(text(f" {_size(redis.memory_bytes)}{limit}", SHARE.style(share)))
    return told


def _workers(seen: SystemOverview) -> Text:
    serving, leaving = len(seen.serving), len(seen.workers) - len(seen.serving)
    told = Text.assemble("Workers ", (f"{serving} serving", "green" if serving else "bold red"))
    if leaving:
        told.append_text(text(f" {leaving} draining", "yellow"))
    return told


def _places(seen: SystemOverview) -> Text:
    taken = sum(worker.running for worker in seen.serving)
    share = taken / seen.slots if seen.slots else 0.0
    style = SHARE.style(share)
    return Text.assemble(
        "Places ", bar(share, _BAR, style), (f" {taken}/{seen.slots}", style), no_wrap=True
    )


def _apis(seen: SystemOverview) -> Text:
    style = "green" if seen.apis else "bold red"
    return Text.assemble("API ", (f"{len(seen.apis)}", style), f"  Clients {seen.clients}")


def _size(number: int) -> str:
    size = float(number)
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
