"""Monitors and samplers of a deployment with no configured queues."""

from collections.abc import Iterable

from shared.monitoring.metrics_history import MetricsHistory
from shared.monitoring.sampler import MetricsSampler
from shared.monitoring.snapshot import SystemMonitor
from shared.processes.vanished import VanishedWorkers
from shared.queue.operator_actions import OperatorActions
from shared.redis.client import Redis
from shared.runs.stores import Stores


async def no_queues() -> Iterable[str]:
    return ()


def open_monitor(redis: Redis) -> SystemMonitor:
    return SystemMonitor(Stores(redis, redis, live_ttl=60, retention=60), no_queues)


def open_sampler(redis: Redis, process_id: str = "sampler") -> MetricsSampler:
    return MetricsSampler(
        *(
            MetricsHistory(redis),
            open_monitor(redis),
            VanishedWorkers(redis),
            OperatorActions(redis),
        ),
        process_id,
    )
