"""Checks of the workers, the queues and the model endpoints."""

from collections.abc import Iterator

from mamba.operate.deployment import Deployment
from mamba.operate.doctor.diagnosis import Diagnosis
from mamba.operate.table import duration
from shared.monitoring.snapshot import LONG_WAIT_MS, QueueSnapshot, SystemSnapshot
from shared.providers.health import ProviderReport, ProviderReports
from shared.providers.names import configured_providers

_MAX_VANISHED = 5


async def check_workers(deployment: Deployment) -> list[Diagnosis]:
    """Check the workers, and each queue against the workers that serve it."""
    system = await deployment.system_monitor().read_snapshot()
    return [
        _check_serving(system),
        *_check_vanished(system),
        *(_check_queue(queue) for queue in system.queues),
    ]


def _check_serving(system: SystemSnapshot) -> Diagnosis:
    serving = system.serving
    if not serving:
        message = "no worker is running, so chats are not answered"
        return Diagnosis("workers", "error", message, "start one: mamba worker")
    running = sum(worker.running for worker in serving)
    message = f"{len(serving)} alive, {running} of {system.slots} slots in use"
    if running >= system.slots:
        return Diagnosis("workers", "warning", message, "start more workers")
    return Diagnosis("workers", "ok", message)


def _check_vanished(system: SystemSnapshot) -> Iterator[Diagnosis]:
    for worker in system.vanished[:_MAX_VANISHED]:
        ago = duration(system.at - worker.seen_at)
        message = f"{worker.id} vanished {ago} ago with {worker.running} runs"
        fix = (
            "if you did not kill it, look for an out-of-memory kill or a lost machine; "
            "a new attempt continues its runs"
        )
        yield Diagnosis("workers", "warning", message, fix)
    if (more := len(system.vanished) - _MAX_VANISHED) > 0:
        message = f"{more} more have vanished within the last hour"
        yield Diagnosis("workers", "warning", message, "see MambaWorkersVanished in the runbook")


def _check_queue(queue: QueueSnapshot) -> Diagnosis:
    part = f"queue {queue.name}"
    message = f"{queue.waiting} waiting, {queue.running} running, {queue.deferred} deferred"
    if queue.workers:
        message += f", {queue.slots_used} of {queue.slots} slots in use"
    else:
        message += ", no worker serves it"
    too_long = queue.oldest_wait_ms >= LONG_WAIT_MS
    if queue.waiting:
        message += f"; the oldest has waited for {queue.oldest_wait_ms / 1000:.0f} s"
    if not queue.workers:
        fix = f"start a worker with {queue.name} in worker.queues"
        return Diagnosis(part, "error" if queue.waiting else "warning", message, fix)
    if queue.processing_paused:
        fix = "when you are done, end the pause of its processing: see `mamba queue`"
        return Diagnosis(part, "warning", f"{message}; its processing is paused", fix)
    if queue.full:
        fix = "start more workers that serve it, or raise worker.concurrency"
        return Diagnosis(part, "error" if too_long else "warning", message, fix)
    if too_long:
        fix = "its workers have free slots: see MambaQueueStuck in docs/operate/runbook.md"
        return Diagnosis(part, "error", message, fix)
    return Diagnosis(part, "ok", message)


async def check_providers(deployment: Deployment) -> list[Diagnosis]:
    settings = deployment.settings
    names = (
        []
        if settings.openai.demo
        else [provider.name for provider in configured_providers(settings)]
    )
    reports = await ProviderReports(deployment.redis, ttl=1).read(names)
    by_name = {report.name: report for report in reports}
    return [_check_provider(name, by_name.get(name)) for name in names]


def _check_provider(name: str, report: ProviderReport | None) -> Diagnosis:
    part = f"provider {name}"
    if report is None:
        return Diagnosis(part, "warning", "no worker has probed it yet")
    if not report.healthy:
        fix = "see docs/reference/errors.md"
        reason = ". ".join(filter(None, (report.error, report.detail)))
        return Diagnosis(part, "error", f"its probe failed: {reason}", fix)
    return Diagnosis(part, "ok", f"responds in {report.latency_ms:.0f} ms")
