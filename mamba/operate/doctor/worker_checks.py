"""Checks of the workers, the queues and the model endpoints."""

from mamba.operate.deployment import Deployment
from mamba.operate.doctor.diagnosis import Diagnosis
from mamba.operate.top.levels import WAIT
from shared.providers.health import ProviderReport, ProviderReports
from shared.providers.names import configured_providers
from shared.queue.queue_depth import read_depths


async def check_workers(deployment: Deployment) -> list[Diagnosis]:
    serving = [worker for worker in await deployment.workers.alive() if not worker.draining]
    if not serving:
        message = "no worker is running, so chats are not answered"
        return [Diagnosis("workers", "wrong", message, "start one: mamba worker")]
    running = sum(worker.running for worker in serving)
    slots = sum(worker.concurrency for worker in serving)
    message = f"{len(serving)} alive, {running} of {slots} slots in use"
    if running >= slots:
        return [Diagnosis("workers", "warning", message, "start more workers")]
    return [Diagnosis("workers", "ok", message)]


async def check_queues(deployment: Deployment) -> list[Diagnosis]:
    findings: list[Diagnosis] = []
    depths = await read_depths(deployment.redis, await deployment.queue_names())
    for queue, depth in depths.items():
        part = f"queue {queue}"
        message = f"{depth.waiting} waiting, {depth.running} running, {depth.deferred} deferred"
        if depth.oldest_wait_ms > WAIT.red:
            message += f"; the oldest has waited for {depth.oldest_wait_ms / 1000:.0f} s"
            fix = "start more workers, and check that one serves this queue (worker.queues)"
            findings.append(Diagnosis(part, "wrong", message, fix))
        else:
            findings.append(Diagnosis(part, "ok", message))
    return findings


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
        return Diagnosis(part, "wrong", f"its probe failed: {report.error}", fix)
    return Diagnosis(part, "ok", f"responds in {report.latency_ms:.0f} ms")
