"""Gauges of the whole deployment; every API process exports the same values."""

import asyncio
from collections.abc import Iterable, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from api.monitoring.component_checks import ComponentChecks
from shared.monitoring.snapshot import QueueSnapshot, RedisSnapshot, SystemMonitor, SystemSnapshot
from shared.redis.client import REDIS_UNAVAILABLE, RedisError
from shared.redis.memory import ServerMemory
from shared.runs.stores import Stores
from shared.settings.live_settings import LiveSettings
from shared.webhooks.deliveries import WebhookDeliveries

_INFO_TIMEOUT_SECONDS = 2.0

#: Name, help text and labels of each gauge.
GAUGES = (
    ("mamba_queue_runs", "Runs in a queue, by state.", ("queue", "state")),
    ("mamba_queue_oldest_wait_seconds", "Wait of the oldest due interactive run.", ("queue",)),
    (
        "mamba_queue_expected_wait_seconds",
        "Expected wait of a new interactive run; absent if it cannot be estimated.",
        ("queue",),
    ),
    ("mamba_queue_workers", "Workers that serve a queue and are not draining.", ("queue",)),
    ("mamba_queue_slots", "Run capacity of the workers that serve a queue.", ("queue",)),
    ("mamba_queue_slots_used", "Slots in use on the workers that serve a queue.", ("queue",)),
    (
        "mamba_queue_paused",
        "1 while operators have paused the intake or the processing of a queue.",
        ("queue", "what"),
    ),
    ("mamba_queue_limit", "Maximum number of waiting runs in a queue; 0 means no limit.", ()),
    ("mamba_workers", "Live workers, by state.", ("state",)),
    ("mamba_workers_runs", "Runs in progress on all workers.", ()),
    ("mamba_workers_slots", "Run capacity of all workers that are not draining.", ()),
    ("mamba_redis_up", "1 if Redis responds.", ()),
    ("mamba_redis_latency_seconds", "Round-trip time to Redis.", ()),
    ("mamba_redis_memory_bytes", "Memory used by Redis.", ()),
    ("mamba_redis_memory_limit_bytes", "Memory limit of Redis; 0 means no limit.", ()),
    ("mamba_streams_up", "1 if a node that stores streams responds.", ("node",)),
    ("mamba_streams_memory_bytes", "Memory used by a node that stores streams.", ("node",)),
    (
        "mamba_streams_memory_limit_bytes",
        "Memory limit of a node that stores streams; 0 means no limit.",
        ("node",),
    ),
    ("mamba_provider_up", "1 if a model endpoint passes its check.", ("provider",)),
    (
        "mamba_webhooks",
        "Webhooks that a destination has not received.",
        ("destination", "state"),
    ),
    ("mamba_provider_latency_seconds", "Time to list the models of an endpoint.", ("provider",)),
)

#: Counted by the whole deployment. Every API process exports the same value.
COUNTERS = (("mamba_workers_vanished", "Workers that stopped without shutting down.", ()),)

_Values = dict[str, list[tuple[tuple[str, ...], float]]]


class SystemGauges:
    """Collects the gauges. Create one per process."""

    def __init__(
        self,
        stores: Stores,
        monitor: SystemMonitor,
        checks: ComponentChecks,
        live: LiveSettings,
    ) -> None:
        self._stores = stores
        self._monitor = monitor
        self._live = live
        self._checks = checks

    async def collect(self) -> list[Metric]:
        """Return the gauges, at most a few seconds old. Without Redis, most have no value."""
        system, streams, providers, webhooks = await asyncio.gather(
            self._monitor.snapshot(),
            self._of_streams(),
            self._of_providers(),
            self._of_webhooks(),
        )
        values: _Values = {
            "mamba_redis_up": [((), system.redis.up)],
            "mamba_queue_limit": [((), self._live.now.limits.queue_depth)],
        }
        if system.redis.up:
            values |= _of_redis(system.redis) | _of_queues(system.queues) | _of_workers(system)
        return [*_families(values | streams | providers | webhooks)]

    async def _of_streams(self) -> _Values:
        """Return one value per node if split storage is on."""
        if not self._stores.split:
            return {}
        try:
            async with asyncio.timeout(_INFO_TIMEOUT_SECONDS):
                replies = await self._stores.each_stream_node("INFO", "memory")
        except (*REDIS_UNAVAILABLE, RedisError, TimeoutError):
            return {}
        memories = {(node,): ServerMemory.parse(reply) for node, reply in replies.items()}
        up = {labels: memory for labels, memory in memories.items() if memory}
        return {
            "mamba_streams_up": [(labels, labels in up) for labels in memories],
            "mamba_streams_memory_bytes": [(n, m.used_bytes) for n, m in up.items()],
            "mamba_streams_memory_limit_bytes": [(n, m.limit_bytes) for n, m in up.items()],
        }

    async def _of_webhooks(self) -> _Values:
        """Return the numbers of undelivered webhooks of each configured destination."""
        deliveries = WebhookDeliveries(self._stores.queue_redis)
        try:
            async with asyncio.timeout(_INFO_TIMEOUT_SECONDS):
                counts = await deliveries.counts([*self._live.now.webhooks])
        except (*REDIS_UNAVAILABLE, RedisError, TimeoutError):
            return {}
        states = ("pending", "retrying", "failed")
        values = [
            ((name, state), getattr(count, state))
            for name, count in counts.items()
            for state in states
        ]
        return {"mamba_webhooks": values}

    async def _of_providers(self) -> _Values:
        components = await self._checks.read_providers()
        values: _Values = {"mamba_provider_up": [], "mamba_provider_latency_seconds": []}
        for name, component in components.items():
            if component.status == "unknown":
                continue
            values["mamba_provider_up"].append(((name,), component.status == "healthy"))
            if component.latency_ms is not None:
                seconds = component.latency_ms / 1000
                values["mamba_provider_latency_seconds"].append(((name,), seconds))
        return values


def _of_redis(redis: RedisSnapshot) -> _Values:
    values: _Values = {}
    if redis.latency_ms is not None:
        values["mamba_redis_latency_seconds"] = [((), redis.latency_ms / 1000)]
    if redis.memory_bytes is not None:
        values["mamba_redis_memory_bytes"] = [((), redis.memory_bytes)]
        values["mamba_redis_memory_limit_bytes"] = [((), redis.memory_limit_bytes or 0)]
    return values


def _of_queues(queues: Sequence[QueueSnapshot]) -> _Values:
    return {
        "mamba_queue_runs": [
            ((queue.name, state), count)
            for queue in queues
            for state, count in _runs_by_state(queue).items()
        ],
        "mamba_queue_oldest_wait_seconds": [
            ((queue.name,), queue.oldest_wait_ms / 1000) for queue in queues
        ],
        "mamba_queue_expected_wait_seconds": [
            ((queue.name,), queue.expected_wait_ms / 1000)
            for queue in queues
            if queue.expected_wait_ms is not None
        ],
        "mamba_queue_workers": [((queue.name,), queue.workers) for queue in queues],
        "mamba_queue_slots": [((queue.name,), queue.slots) for queue in queues],
        "mamba_queue_slots_used": [((queue.name,), queue.slots_used) for queue in queues],
        "mamba_queue_paused": [
            ((queue.name, what), paused)
            for queue in queues
            for what, paused in (
                ("intake", queue.intake_paused),
                ("processing", queue.processing_paused),
            )
        ],
    }


def _runs_by_state(queue: QueueSnapshot) -> dict[str, int]:
    background = 0 if queue.held else queue.background
    return {
        "waiting": queue.waiting - queue.held - background,
        "background": background,
        "held": queue.held,
        "running": queue.running,
        "deferred": queue.deferred,
    }


def _of_workers(system: SystemSnapshot) -> _Values:
    serving = len(system.serving)
    return {
        "mamba_workers": [
            (("serving",), serving),
            (("draining",), len(system.workers) - serving),
        ],
        "mamba_workers_runs": [((), system.running)],
        "mamba_workers_slots": [((), system.slots)],
        "mamba_workers_vanished": [((), system.vanished_total)],
    }


def _families(values: _Values) -> Iterable[Metric]:
    for kind, rows in ((GaugeMetricFamily, GAUGES), (CounterMetricFamily, COUNTERS)):
        for name, help_text, labels in rows:
            family = kind(name, help_text, labels=labels)
            for label_values, value in values.get(name, ()):
                family.add_metric(label_values, value)
            yield family
