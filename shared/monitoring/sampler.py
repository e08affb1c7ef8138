"""Adds samples to the metrics history. API and worker processes elect a leader for each sample.

The leader also logs the workers that have vanished, and what operators have done with commands.

Rates are the differences of all process counters since the previous sample. A new process counts
from zero, and a process that shut down has stored its final counters.
"""

import asyncio
import random
from collections.abc import Iterable, Mapping

import structlog

from shared.background_task import BackgroundTask
from shared.monitoring.metrics_history import (
    SAMPLE_SECONDS,
    CounterBaseline,
    MetricsHistory,
    Sample,
)
from shared.monitoring.snapshot import SystemMonitor, SystemSnapshot
from shared.processes.counters import Counters, quantile
from shared.processes.registry import ProcessRecord
from shared.processes.vanished import VanishedWorkers
from shared.queue.operator_actions import OperatorActions
from shared.redis.client import REDIS_UNAVAILABLE, RedisError

log = structlog.stdlib.get_logger()

#: Random delay, so that processes do not compete for leadership at the same moment.
_JITTER_SECONDS = 0.1
#: Time between the start of a process and its first record.
_FIRST_RECORD_SECONDS = 2.0


class MetricsSampler(BackgroundTask):
    """Adds a sample of the deployment whenever this process is the leader."""

    def __init__(
        self,
        history: MetricsHistory,
        monitor: SystemMonitor,
        vanished: VanishedWorkers,
        actions: OperatorActions,
        process_id: str,
    ) -> None:
        self._history = history
        self._monitor = monitor
        self._vanished = vanished
        self._actions = actions
        self._id = process_id

    async def _run(self) -> None:
        while True:
            pause = SAMPLE_SECONDS
            try:
                pause = await self._history.try_become_leader(self._id)
                if not pause:
                    await self.report_vanished()
                    await self.report_actions()
                    await self.sample()
            except (*REDIS_UNAVAILABLE, RedisError) as error:
                log.debug(
                    "sampling.redis_unavailable",
                    message="Sample skipped because Redis is unavailable",
                    error=str(error),
                )
            await asyncio.sleep(pause + random.uniform(0, _JITTER_SECONDS))  # noqa: S311

    async def report_vanished(self) -> None:
        """Log the workers that have vanished since the last call of any process."""
        for worker in await self._vanished.observe():
            log.warning(
                "worker.vanished",
                message="Worker stopped without shutting down",
                worker_id=worker.id,
                host=worker.host,
                pid=worker.pid,
                running=worker.running,
                seen_at=worker.seen_at,
            )

    async def report_actions(self) -> None:
        """Log what operators have done since the last call of any process."""
        for action in await self._actions.take():
            action.write_log()

    async def sample(self) -> None:
        """Add a sample of the current system snapshot."""
        snapshot = await self._monitor.snapshot()
        if not snapshot.redis.up:
            return
        processes = {
            process.id: process.counters for process in (*snapshot.workers, *snapshot.apis)
        }
        baseline = await self._history.last_baseline()
        missing = [i for i in baseline.counters if i not in processes] if baseline else []
        final_counters = await self._history.final_counters(missing)
        sample = make_sample(snapshot, baseline, final_counters)
        new_baseline = CounterBaseline(at=snapshot.at, counters=processes)
        await self._history.add(sample, new_baseline, self._id)


def make_sample(
    snapshot: SystemSnapshot,
    baseline: CounterBaseline | None,
    final_counters: Mapping[str, Counters],
) -> Sample:
    """Build a sample from a snapshot; without a baseline its rates are zero."""
    counted, seconds = Counters(), 0.0
    if baseline is not None and snapshot.at > baseline.at:
        seconds = (snapshot.at - baseline.at) / 1000
        counted = _counted(baseline, final_counters, [*snapshot.workers, *snapshot.apis], seconds)

    def rate(count: int) -> float:
        return round(count / seconds, 3) if seconds else 0.0

    return Sample(
        at=snapshot.at,
        waiting=sum(queue.waiting for queue in snapshot.queues),
        running=sum(queue.running for queue in snapshot.queues),
        deferred=sum(queue.deferred for queue in snapshot.queues),
        oldest_wait_ms=max((queue.oldest_wait_ms for queue in snapshot.queues), default=0),
        workers=len(snapshot.workers),
        slots=snapshot.slots,
        clients=snapshot.clients,
        accepted=rate(counted.accepted),
        succeeded=rate(counted.succeeded),
        failed=rate(counted.failed),
        cancelled=rate(counted.cancelled),
        crashed=rate(counted.crashed),
        tokens=rate(counted.tokens),
        wait_p50_ms=_ms(quantile(counted.wait, 0.5)),
        wait_p95_ms=_ms(quantile(counted.wait, 0.95)),
        first_token_p50_ms=_ms(quantile(counted.first_token, 0.5)),
        first_token_p95_ms=_ms(quantile(counted.first_token, 0.95)),
    )


def _counted(
    before: CounterBaseline,
    left: Mapping[str, Counters],
    present: Iterable[ProcessRecord],
    seconds: float,
) -> Counters:
    """Return the counters since the baseline, without processes that were absent from it."""
    counted = Counters()
    for process_id, final in left.items():
        counted += final - before.counters[process_id]
    for record in present:
        if (known := before.counters.get(record.id)) is not None:
            counted += record.counters - known
        elif record.up_ms / 1000 < seconds + _FIRST_RECORD_SECONDS:
            counted += record.counters
    return counted


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
