"""What is true of the whole house, as gauges: the same whichever API process tells it."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import cast

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from api.monitoring.component_checks import SYSTEM_COMPONENTS, ComponentChecks
from shared.processes.snapshot import QueueSnapshot, RedisSnapshot, SystemMonitor, SystemSnapshot
from shared.redis.client import REDIS_AWAY, RedisError
from shared.runs.stores import Stores
from shared.settings.live_settings import LiveSettings

_LOOK_SECONDS = 2.0

#: Each gauge: its name, what it says, its labels.
GAUGES = (
    ("mamba_queue_runs", "Runs in a queue, by state.", ("queue", "state")),
    ("mamba_queue_oldest_wait_seconds", "Since when the oldest waiting run is due.", ("queue",)),
    ("mamba_queue_limit", "Runs that may wait in a queue; 0: no limit.", ()),
    ("mamba_workers", "Workers that are alive, by state.", ("state",)),
    ("mamba_workers_runs", "Runs that all workers work on.", ()),
    ("mamba_workers_slots", "Runs that those workers that do not drain take at most.", ()),
    ("mamba_redis_up", "1 while Redis answers.", ()),
    ("mamba_redis_latency_seconds", "How long a round trip took.", ()),
    ("mamba_redis_memory_bytes", "Memory that Redis uses.", ()),
    ("mamba_redis_memory_limit_bytes", "What it may use; 0: no limit.", ()),
    ("mamba_streams_up", "1 while a node that has logs answers.", ("node",)),
    ("mamba_streams_memory_bytes", "Memory that such a node uses.", ("node",)),
    ("mamba_streams_memory_limit_bytes", "What it may use; 0: no limit.", ("node",)),
    ("mamba_provider_up", "1 while a model endpoint answers as it should.", ("provider",)),
    ("mamba_provider_latency_seconds", "How long its list of models took.", ("provider",)),
)

_Values = dict[str, list[tuple[tuple[str, ...], float]]]


class SystemGauges:
    """One a process."""

    def __init__(
        self,
        stores: Stores,
        monitor: SystemMonitor,
        checks: ComponentChecks,
        live: LiveSettings,
    ) -> None:
        self._stores = stores
        self._observatory = monitor
        self._live = live
        self._checks = checks

    async def collect(self) -> list[Metric]:
        """As they were a few seconds ago at most. Without Redis there is little to tell."""
        house, streams, providers = await asyncio.gather(
            self._observatory.snapshot(), self._of_streams(), self._of_providers()
        )
        values: _Values = {
            "mamba_redis_up": [((), house.redis.up)],
            "mamba_queue_limit": [((), self._live.now.limits.queue_depth)],
        }
        if house.redis.up:
            values |= _of_redis(house.redis) | _of_queues(house.queues) | _of_workers(house)
        return [*_families(values | streams | providers)]

    async def _of_streams(self) -> _Values:
        """By node, where the logs are apart."""
        if not self._stores.split:
            return {}
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                told = await self._stores.each_log_node("INFO", "memory")
        except (*REDIS_AWAY, RedisError, TimeoutError):
            return {}
        up = {(node,): cast("dict[str, int]", info) for node, info in told.items() if _tells(info)}
        return {
            "mamba_streams_up": [((node,), (node,) in up) for node in told],
            "mamba_streams_memory_bytes": [(n, info["used_memory"]) for n, info in up.items()],
            "mamba_streams_memory_limit_bytes": [
                (n, info.get("maxmemory", 0)) for n, info in up.items()
            ],
        }

    async def _of_providers(self) -> _Values:
        components = await self._checks.read()
        values: _Values = {"mamba_provider_up": [], "mamba_provider_latency_seconds": []}
        for key, component in components.items():
            if key in SYSTEM_COMPONENTS or component.status == "unknown":
                continue
            label = (key.removeprefix("provider:"),)
            values["mamba_provider_up"].append((label, component.status == "healthy"))
            if component.latency_ms is not None:
                seconds = component.latency_ms / 1000
                values["mamba_provider_latency_seconds"].append((label, seconds))
        return values


def _tells(info: object) -> bool:
    return isinstance(info, dict) and "used_memory" in info


def _of_redis(redis: RedisSnapshot) -> _Values:
    values: _Values = {}
    if redis.latency_ms is not None:
        values["mamba_redis_latency_seconds"] = [((), redis.latency_ms / 1000)]
    if redis.memory_bytes is not None:
        values["mamba_redis_memory_bytes"] = [((), redis.memory_bytes)]
        values["mamba_redis_memory_limit_bytes"] = [((), redis.memory_limit_bytes or 0)]
    return values


def _of_queues(queues: Sequence[QueueSnapshot]) -> _Values:
    states = ("waiting", "running", "deferred")
    return {
        "mamba_queue_runs": [
            ((queue.name, state), getattr(queue, state)) for queue in queues for state in states
        ],
        "mamba_queue_oldest_wait_seconds": [
            ((queue.name,), queue.oldest_wait_ms / 1000) for queue in queues
        ],
    }


def _of_workers(house: SystemSnapshot) -> _Values:
    serving = len(house.serving)
    return {
        "mamba_workers": [
            (("serving",), serving),
            (("draining",), len(house.workers) - serving),
        ],
        "mamba_workers_runs": [((), house.running)],
        "mamba_workers_slots": [((), house.slots)],
    }


def _families(values: _Values) -> Iterable[Metric]:
    for name, said, labels in GAUGES:
        family = GaugeMetricFamily(name, said, labels=labels)
        for label_values, value in values.get(name, ()):
            family.add_metric(label_values, value)
        yield family
