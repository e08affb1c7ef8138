"""Checks the components that a run needs, for `GET /health`.

Requests within a few seconds share one result, and each check has a timeout. `/health` is public,
so details contain no addresses or keys.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from pydantic import BaseModel, Field

from shared.monitoring.snapshot import (
    LONG_WAIT_MS,
    QueueSnapshot,
    SystemMonitor,
    SystemSnapshot,
)
from shared.providers.health import REPORT_INTERVALS, ProviderReport, ProviderReports
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, RedisError
from shared.runs.stores import Stores
from shared.settings import Settings
from shared.settings.live_settings import LiveSettings
from shared.single_flight import SingleFlightCache

#: All other components are queues and model endpoints.
SYSTEM_COMPONENTS = ("redis", "streams", "queue", "workers")

Status = Literal["healthy", "degraded", "unhealthy", "unknown"]

_MAX_AGE_SECONDS = 5.0
_CHECK_TIMEOUT_SECONDS = 2.0


class Component(BaseModel):
    status: Status
    latency_ms: float | None = Field(default=None, description="Response time of the check")
    detail: str | None = Field(
        default=None, description="A description for people", examples=["2 alive"]
    )


Components = dict[str, Component]

_NO_REDIS = Component(status="unhealthy", detail="Redis does not respond.")


class ComponentChecks:
    """Runs the checks and caches their results. Create one per process."""

    def __init__(self, stores: Stores, live: LiveSettings, monitor: SystemMonitor) -> None:
        self._stores = stores
        self._redis = stores.queue_redis
        self._live = live
        self._monitor = monitor
        self._cache = SingleFlightCache(self._check_all)
        self._providers = SingleFlightCache(self._check_providers)

    async def read(self) -> Components:
        """Return the state of every component, at most a few seconds old."""
        return await self._cache.get(max_age_seconds=self._max_age)

    async def read_providers(self) -> Components:
        """Return the state of every model endpoint by the name of its provider."""
        return await self._providers.get(max_age_seconds=self._max_age)

    @property
    def _max_age(self) -> float:
        return min(_MAX_AGE_SECONDS, self._live.now.health.interval_seconds)

    async def _check_all(self) -> Components:
        redis, streams, queues_and_workers, providers = await asyncio.gather(
            _timed(self._ping), self._streams(), self._queues_and_workers(), self.read_providers()
        )
        if redis.status == "unhealthy":  # the snapshot may be from a moment before
            queues_and_workers = {"queue": redis, "workers": redis}
        system = {"redis": redis, **streams, **queues_and_workers}
        # A provider can have the same name as a system component.
        named = {f"provider:{n}" if n in SYSTEM_COMPONENTS else n: c for n, c in providers.items()}
        return {**named, **system}

    async def _ping(self) -> Component:
        await self._redis.execute_command("PING")
        return Component(status="healthy")

    async def _streams(self) -> Components:
        """Return the component `streams` if split storage is on."""
        return {"streams": await _timed(self._stream_nodes)} if self._stores.split else {}

    async def _stream_nodes(self) -> Component:
        replies = await self._stores.each_stream_node("PING")
        failed = sum(isinstance(reply, Exception) for reply in replies.values())
        if failed or self._stores.uncovered_slots:
            detail = f"{failed} of {len(replies)} nodes do not respond"
            if self._stores.uncovered_slots:
                detail += f", {self._stores.uncovered_slots} hash slots have no node"
            status = "unhealthy" if failed == len(replies) else "degraded"
            return Component(status=status, detail=detail)
        return Component(status="healthy", detail=f"{len(replies)} nodes")

    async def _queues_and_workers(self) -> Components:
        """Return the components `queue` and `workers`, and `queue:NAME` for each other queue."""
        system = await self._monitor.snapshot()
        if not system.redis.up:
            return {"queue": _NO_REDIS, "workers": _NO_REDIS}
        limit = self._live.now.limits.queue_depth
        components = {_queue_component(q.name): _queue(q, limit) for q in system.queues}
        components["workers"] = _workers(system)
        latency_ms = system.redis.latency_ms
        return {
            name: component.model_copy(update={"latency_ms": latency_ms})
            for name, component in components.items()
        }

    async def _check_providers(self) -> Components:
        settings = self._live.now
        names = _provider_names(settings)
        reports = await self._reports(names, settings)
        checks = {name: _provider(reports.get(name), settings) for name in names}
        if settings.openai.demo:
            checks["openai"] = Component(status="healthy", detail="Built-in demo model.")
        return checks

    async def _reports(self, names: list[str], settings: Settings) -> dict[str, ProviderReport]:
        if not settings.health.openai_check_enabled:
            return {}
        ttl = settings.health.interval_seconds * REPORT_INTERVALS
        oldest = time.time() * 1000 - ttl * 1000
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
                reports = await ProviderReports(self._redis, ttl=ttl).read(names)
        except (*REDIS_UNAVAILABLE, RedisError, TimeoutError):
            return {}
        return {report.name: report for report in reports if report.checked_at > oldest}


async def _timed(check: Callable[[], Awaitable[Component]]) -> Component:
    """Run a check with a timeout. The component is unhealthy if Redis does not respond."""
    started_at = time.perf_counter()
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
            component = await check()
    except (*REDIS_UNAVAILABLE, RedisError, TimeoutError):
        return _NO_REDIS
    latency_ms = _rounded((time.perf_counter() - started_at) * 1000)
    return component.model_copy(update={"latency_ms": latency_ms})


def _queue_component(name: str) -> str:
    return "queue" if name == keys.MAIN_QUEUE else f"queue:{name}"


def _queue(queue: QueueSnapshot, limit: int) -> Component:
    detail = f"{queue.waiting} waiting, {queue.running} running"
    if queue.background:
        detail += f", {queue.background} of the waiting runs are background runs"
    if queue.deferred:
        detail += f", {queue.deferred} deferred"
    if queue.waiting:
        detail += f", oldest wait {queue.oldest_wait_ms / 1000:.1f} s"
    if queue.expected_wait_ms:
        detail += f", expected wait {queue.expected_wait_ms / 1000:.0f} s"
    if not queue.workers:
        detail += ", no worker serves it"
    elif queue.full:
        detail += f", all {queue.slots} slots in use"
    paused = queue.intake_paused or queue.processing_paused
    if queue.intake_paused:
        detail += ", intake paused"
    if queue.processing_paused:
        detail += ", processing paused"
    unserved = queue.waiting and not queue.workers
    too_many = 0 < limit <= queue.waiting - queue.background
    too_long = queue.oldest_wait_ms >= LONG_WAIT_MS
    impaired = paused or unserved or too_many or queue.full or too_long
    return Component(status="degraded" if impaired else "healthy", detail=detail)


def _workers(system: SystemSnapshot) -> Component:
    if not system.serving:
        return Component(status="unhealthy", detail="No worker is alive.")
    running = sum(worker.running for worker in system.serving)
    detail = f"{len(system.serving)} alive, {running} of {system.slots} slots in use"
    return Component(status="degraded" if running >= system.slots else "healthy", detail=detail)


def _provider_names(settings: Settings) -> list[str]:
    openai = settings.openai
    configured = openai.api_key or openai.base_url or openai.demo
    return [*(["openai"] if configured else []), *settings.providers]


def _provider(report: ProviderReport | None, settings: Settings) -> Component:
    if report is None:
        enabled = settings.health.openai_check_enabled
        detail = "No worker has checked this endpoint yet." if enabled else "The check is disabled."
        return Component(status="unknown", detail=detail)
    return Component(
        status="healthy" if report.healthy else "unhealthy",
        latency_ms=_rounded(report.latency_ms),
        detail=": ".join(filter(None, (report.error, report.detail))) or None,
    )


def _rounded(milliseconds: float) -> float:
    return round(milliseconds, 1)
