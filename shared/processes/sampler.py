"""Makes the samples: each API process and each worker takes part, one of them at each turn.

Rates are the difference between what all processes have counted by now and by the sample before.
One that is new counts from nothing, one that has left in good order has given its last word.
"""

import asyncio
import random
from collections.abc import Iterable, Mapping

import structlog

from shared.background_task import BackgroundTask
from shared.processes.counters import Counters, quantile
from shared.processes.metrics_history import SAMPLE_SECONDS, CounterBaseline, MetricsHistory, Sample
from shared.processes.registry import ProcessRecord
from shared.processes.snapshot import SystemMonitor, SystemSnapshot
from shared.redis.client import REDIS_AWAY, RedisError

log = structlog.stdlib.get_logger()

#: Those who wait for a turn do not all ask for it at once.
_SPREAD_SECONDS = 0.1
#: What a new process may have been up before it said so.
_SLACK_SECONDS = 2.0


class MetricsSampler(BackgroundTask):
    """One process a turn looks at the house, and adds the sample for all."""

    def __init__(self, history: MetricsHistory, monitor: SystemMonitor, process_id: str) -> None:
        self._samples = history
        self._observatory = monitor
        self._id = process_id

    async def _run(self) -> None:
        while True:
            pause = SAMPLE_SECONDS
            try:
                pause = await self._samples.try_become_leader(self._id)
                if not pause:
                    await self.sample()
            except (*REDIS_AWAY, RedisError) as error:
                log.debug("sampling.redis_away", error=str(error))
            await asyncio.sleep(pause + random.uniform(0, _SPREAD_SECONDS))  # noqa: S311

    async def sample(self) -> None:
        """Look at the house, and add what is seen."""
        house = await self._observatory.snapshot()
        if not house.redis.up:
            return
        processes = {one.id: one.totals for one in (*house.workers, *house.apis)}
        before = await self._samples.last_baseline()
        missed = [one for one in before.totals if one not in processes] if before else []
        sample = make_sample(house, before, await self._samples.final_counters(missed))
        await self._samples.add(sample, CounterBaseline(at=house.at, totals=processes), self._id)


def make_sample(
    snapshot: SystemSnapshot,
    baseline: CounterBaseline | None,
    final_counters: Mapping[str, Counters],
) -> Sample:
    """The sample of what is there; without one before it has no rates."""
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
        places=snapshot.slots,
        clients=snapshot.clients,
        accepted=rate(counted.accepted),
        succeeded=rate(counted.succeeded),
        failed=rate(counted.failed),
        cancelled=rate(counted.cancelled),
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
    """What all have counted since. Who was away, and is back, is passed over this once."""
    counted = Counters()
    for process_id, totals in left.items():
        counted += totals - before.totals[process_id]
    for record in present:
        if (known := before.totals.get(record.id)) is not None:
            counted += record.totals - known
        elif record.up_ms / 1000 < seconds + _SLACK_SECONDS:
            counted += record.totals
    return counted


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
