"""Several worker processes under one supervisor. Each has its own id and metrics port."""

import asyncio

import structlog

from mamba.supervisor.replicas import ReplicaPlan, Replicas, mamba_command
from shared.settings import Settings
from shared.telemetry import logs
from worker.exit_deadline import EXIT_SECONDS

log = structlog.stdlib.get_logger()


def serve(settings: Settings, processes: int) -> int:
    """Run this number of worker processes until SIGTERM. Returns the exit code."""
    logs.configure(settings.logging.level, settings.logging.format)
    log.info(
        "worker.processes_started",
        message="Worker processes run under one supervisor",
        processes=processes,
    )
    plan = ReplicaPlan(
        role="worker",
        command=mamba_command("worker", "--processes", "1"),
        count=processes,
        exit_seconds=settings.worker.drain_seconds + EXIT_SECONDS,
    )
    return asyncio.run(_run(plan))


async def _run(plan: ReplicaPlan) -> int:
    return await Replicas(plan).run()
