"""What is true of the whole house, whichever API process tells it: queues, workers, Redis, models.

One look serves all who ask within a second; it costs Redis a few commands, whatever stands there.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from api.agent_directory import AgentDirectory
from api.components import OWN_COMPONENTS, ComponentChecks
from shared import keys
from shared.jobs import Depth, JobQueue
from shared.redis import REDIS_AWAY, Redis, RedisError
from shared.workers import WorkerRecord, Workers

_FRESH_SECONDS = 1.0
_LOOK_SECONDS = 2.0

#: Each gauge: its name, what it says, its labels.
GAUGES = (
    ("mamba_queue_runs", "Runs in a queue, by state.", ("queue", "state")),
    ("mamba_queue_oldest_wait_seconds", "Since when the oldest waiting run is due.", ("queue",)),
    ("mamba_workers", "Workers that are alive, by state.", ("state",)),
    ("mamba_workers_runs", "Runs that all workers work on.", ()),
    ("mamba_workers_places", "Runs that those workers that do not drain take at most.", ()),
    ("mamba_redis_up", "1 while Redis answers.", ()),
    ("mamba_redis_latency_seconds", "How long a PING took.", ()),
    ("mamba_redis_memory_bytes", "Memory that Redis uses.", ()),
    ("mamba_redis_memory_limit_bytes", "What it may use; 0: no limit.", ()),
    ("mamba_provider_up", "1 while a model endpoint answers as it should.", ("provider",)),
    ("mamba_provider_latency_seconds", "How long its list of models took.", ("provider",)),
)

_Values = dict[str, list[tuple[tuple[str, ...], float]]]


class _Memory(NamedTuple):
    used: int
    limit: int


class Cluster:
    """One a process."""

    def __init__(self, redis: Redis, agents: AgentDirectory, checks: ComponentChecks) -> None:
        self._redis = redis
        self._queue = JobQueue(redis)
        self._workers = Workers(redis)
        self._agents = agents
        self._checks = checks
        self._look: asyncio.Task[list[Metric]] | None = None
        self._looked_at = 0.0

    async def gauges(self) -> list[Metric]:
        """As they were a second ago at most. Without Redis there is little to tell."""
        look = self._look
        if look is None or (look.done() and time.monotonic() - self._looked_at > _FRESH_SECONDS):
            look = self._look = asyncio.create_task(self._look_around())
        return await asyncio.shield(look)

    async def _look_around(self) -> list[Metric]:
        values: _Values = {"mamba_redis_up": [((), 0)]}
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                values |= await self._of_redis()
                values |= _of_queues(await self._depths())
                values |= _of_workers(await self._workers.alive())
        except (*REDIS_AWAY, RedisError, TimeoutError):
            pass
        values |= await self._of_providers()
        self._looked_at = time.monotonic()
        return [*_families(values)]

    async def _of_redis(self) -> _Values:
        began = time.perf_counter()
        await self._redis.execute_command("PING")
        values: _Values = {
            "mamba_redis_latency_seconds": [((), time.perf_counter() - began)],
            "mamba_redis_up": [((), 1)],
        }
        if memory := await self._memory():
            values["mamba_redis_memory_bytes"] = [((), memory.used)]
            values["mamba_redis_memory_limit_bytes"] = [((), memory.limit)]
        return values

    async def _memory(self) -> _Memory | None:
        """None where the server does not tell, as some that are hosted."""
        try:
            told: dict[str, Any] = await self._redis.execute_command("INFO", "memory")
        except REDIS_AWAY:
            raise
        except RedisError:
            return None
        return _Memory(told["used_memory"], told.get("maxmemory", 0))

    async def _depths(self) -> dict[str, Depth]:
        queues = {keys.MAIN_QUEUE, *(card.queue for card in await self._agents.all())}
        return {queue: await self._queue.depth(queue) for queue in sorted(queues)}

    async def _of_providers(self) -> _Values:
        components = await self._checks.components()
        values: _Values = {"mamba_provider_up": [], "mamba_provider_latency_seconds": []}
        for key, component in components.items():
            if key in OWN_COMPONENTS or component.status == "unknown":
                continue
            label = (key.removeprefix("provider:"),)
            values["mamba_provider_up"].append((label, component.status == "healthy"))
            if component.latency_ms is not None:
                seconds = component.latency_ms / 1000
                values["mamba_provider_latency_seconds"].append((label, seconds))
        return values


def _of_queues(depths: dict[str, Depth]) -> _Values:
    states = ("waiting", "running", "deferred")
    return {
        "mamba_queue_runs": [
            ((queue, state), getattr(depth, state))
            for queue, depth in depths.items()
            for state in states
        ],
        "mamba_queue_oldest_wait_seconds": [
            ((queue,), depth.oldest_wait_ms / 1000) for queue, depth in depths.items()
        ],
    }


def _of_workers(alive: list[WorkerRecord]) -> _Values:
    serving = [worker for worker in alive if not worker.draining]
    return {
        "mamba_workers": [
            (("serving",), len(serving)),
            (("draining",), len(alive) - len(serving)),
        ],
        "mamba_workers_runs": [((), sum(worker.running for worker in alive))],
        "mamba_workers_places": [((), sum(worker.concurrency for worker in serving))],
    }


def _families(values: _Values) -> Iterable[Metric]:
    for name, said, labels in GAUGES:
        family = GaugeMetricFamily(name, said, labels=labels)
        for label_values, value in values.get(name, ()):
            family.add_metric(label_values, value)
        yield family
