"""Checks of the workers, the queues and the model endpoints."""

from mamba.operate.deployment import Deployment
from mamba.operate.doctor.finding import Finding
from mamba.operate.top.levels import WAIT
from shared.providers.health import ProviderReport, ProviderReports
from shared.providers.names import configured_providers
from shared.queue.queue_depth import read_depths


async def check_workers(deployment: Deployment) -> list[Finding]:
    serving = [worker for worker in await deployment.workers.alive() if not worker.draining]
    if not serving:
        message = "none is alive, so no chat is answered"
        return [Finding("workers", "wrong", message, "start one: mamba worker")]
    running = sum(worker.running for worker in serving)
    slots = sum(worker.concurrency for worker in serving)
    message = f"{len(serving)} alive, {running} of {slots} slots in use"
    if running >= slots:
        return [Finding("workers", "warning", message, "start more workers")]
    return [Finding("workers", "ok", message)]


async def check_queues(deployment: Deployment) -> list[Finding]:
    findings: list[Finding] = []
    depths = await read_depths(deployment.redis, await deployment.queue_names())
    for queue, depth in depths.items():
        part = f"queue {queue}"
        message = f"{depth.waiting} waiting, {depth.running} running, {depth.deferred} deferred"
        if depth.oldest_wait_ms > WAIT.red:
            message += f"; the oldest has waited for {depth.oldest_wait_ms / 1000:.0f} s"
            fix = "start more workers, and check that one serves this queue (worker.queues)"
            findings.append(Finding(part, "wrong", message, fix))
        else:
            findings.append(Finding(part, "ok", message))
    return findings


async def check_providers(deployment: Deployment) -> list[Finding]:
    settings = deployment.settings
    names = (
        []
        if settings.openai.demo
        else [provider.name for provider in configured_providers(settings)]
    )
    reports = await ProviderReports(deployment.redis, ttl=1).read(names)
    by_name = {report.name: report for report in reports}
    return [_check_provider(name, by_name.get(name)) for name in names]


def _check_provider(name: str, report: ProviderReport | None) -> Finding:
    part = f"provider {name}"
    if report is None:
        return Finding(part, "warning", "no worker has probed it yet")
    if not report.healthy:
        fix = "see docs/reference/errors.md"
        return Finding(part, "wrong", f"its probe failed: {report.error}", fix)
    return Finding(part, "ok", f"responds in {report.latency_ms:.0f} ms")
