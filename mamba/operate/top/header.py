"""The first lines of the screen: Redis, workers, slots and API processes."""

import time

from rich.text import Text

from mamba.operate.table import duration
from mamba.operate.top.grid import bar, flow, justify, text
from mamba.operate.top.levels import LATENCY, MEMORY, SLOTS
from shared.monitoring.snapshot import RedisSnapshot, SystemOverview

_BAR_WIDTH = 10


def header(overview: SystemOverview, address: str, state: str, width: int) -> list[Text]:
    """Return the title with the state of this view, then the status of each component."""
    at = time.localtime(overview.at / 1000) if overview.at else None
    clock = time.strftime("%H:%M:%S", at) if at else "--:--:--"
    title = Text.assemble(text("mamba top", "bold"), "  ", text(address, "dim"))
    items = [_redis(overview.redis), _workers(overview), _slots(overview), _apis(overview)]
    items += _webhooks(overview)
    return [justify(title, text(f"{state}  {clock}"), width), *flow(items, width)]


def _redis(redis: RedisSnapshot) -> Text:
    if not redis.up:
        return Text.assemble("Redis ", ("unreachable", "bold red"))
    latency = redis.latency_ms or 0.0
    line = Text.assemble("Redis ", (f"{latency:.1f} ms", LATENCY.style(latency)))
    if redis.memory_bytes is not None:
        share = redis.memory_bytes / redis.memory_limit_bytes if redis.memory_limit_bytes else 0
        limit = f" of {_size(redis.memory_limit_bytes)}" if redis.memory_limit_bytes else ""
        line.append_text(text(f" {_size(redis.memory_bytes)}{limit}", MEMORY.style(share)))
    return line


def _workers(overview: SystemOverview) -> Text:
    serving = len(overview.serving)
    line = Text.assemble("Workers ", (f"{serving} serving", "green" if serving else "bold red"))
    if draining := len(overview.workers) - serving:
        line.append_text(text(f" {draining} draining", "yellow"))
    if overview.vanished:
        ago = duration(overview.at - overview.vanished[0].seen_at)
        line.append_text(text(f" {len(overview.vanished)} vanished (last {ago} ago)", "red"))
    return line


def _slots(overview: SystemOverview) -> Text:
    used = sum(worker.running for worker in overview.serving)
    share = used / overview.slots if overview.slots else 0.0
    full = [queue.name for queue in overview.queues if queue.full]
    style = SLOTS.style(share)
    return Text.assemble(
        "Slots ",
        bar(share, _BAR_WIDTH, style),
        (f" {used}/{overview.slots}", style),
        text(f" full: {', '.join(full)}" if full else "", "red"),
        no_wrap=True,
    )


def _apis(overview: SystemOverview) -> Text:
    style = "green" if overview.apis else "bold red"
    return Text.assemble("API ", (f"{len(overview.apis)}", style), f"  Clients {overview.clients}")


def _webhooks(overview: SystemOverview) -> list[Text]:
    """Return nothing if no webhook has failed several times or was given up."""
    retrying = sum(destination.retrying for destination in overview.webhooks)
    failed = sum(destination.failed for destination in overview.webhooks)
    if not retrying and not failed:
        return []
    line = Text("Webhooks")
    if retrying:
        line.append_text(text(f" {retrying} retrying", "yellow"))
    if failed:
        line.append_text(text(f" {failed} given up", "red"))
    return [line]


def _size(number: int) -> str:
    size = float(number)
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
