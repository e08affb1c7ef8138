"""`mamba queue pause`, `mamba queue resume` and `mamba queue drain`."""

import asyncio

from mamba.cli_errors import print_now
from mamba.operate.deployment import Deployment
from mamba.operate.operator_name import current_operator
from shared.monitoring.queue_control import QueueControl
from shared.monitoring.snapshot import SystemMonitor
from shared.queue.pauses import Pausable, Pauses

_POLL_SECONDS = 1.0


async def pause(deployment: Deployment, what: Pausable, queue: str | None) -> None:
    control = _control(deployment, deployment.system_monitor())
    print_now(await control.pause(what, queue, operator=current_operator()))


async def resume(deployment: Deployment, what: Pausable, queue: str | None) -> None:
    control = _control(deployment, deployment.system_monitor())
    print_now(await control.resume(what, queue, operator=current_operator()))


async def drain(deployment: Deployment, queue: str | None) -> None:
    """Pause the intake, and wait until the queue, or all queues, have no runs."""
    monitor = deployment.system_monitor()
    control = _control(deployment, monitor)
    print_now(await control.pause("intake", queue, operator=current_operator()))
    shown = ""
    while True:
        queues = [q for q in (await monitor.read_snapshot()).queues if queue in (None, q.name)]
        waiting = sum(q.waiting + q.deferred for q in queues)
        running = sum(q.running for q in queues)
        if not waiting and not running:
            print_now("No runs are left.")
            return
        if shown != (text := f"{waiting} waiting, {running} running"):
            print_now(text)
            shown = text
        await asyncio.sleep(_POLL_SECONDS)


def _control(deployment: Deployment, monitor: SystemMonitor) -> QueueControl:
    return QueueControl(Pauses(deployment.redis), monitor)
