"""Checks the components that a run needs, for `GET /health`.

Requests within a few seconds share one result, and each check has a timeout. `/health` is public,
so details contain no addresses or keys.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal

from pydantic import BaseModel, Field

from api.catalog.agent_directory import AgentDirectory
from shared.processes.workers import WorkerRegistry
from shared.providers.health import ProviderReport, ProviderReports
from shared.queue.queue_depth import read_depths
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
#: A queue whose oldest job waits longer is degraded.
_LONG_WAIT_MS = 10_000
#: A provider's report expires after this many probe intervals.
_MAX_MISSED_PROBES = 3


class Component(BaseModel):
    status: Status
    latency_ms: float | None = Field(default=None, description="Response time of the check")
    detail: str | None = Field(
        default=None, description="A description for people", examples=["2 alive"]
    )


Components = dict[str, Component]


class ComponentChecks:
    """Runs the checks and caches their results. Create one per process."""

    def __init__(self, stores: Stores, live: LiveSettings, agents: AgentDirectory) -> None:
        self._stores = stores
        self._redis = stores.queue
        self._live = live
        self._agents = agents
        self._workers = WorkerRegistry(stores.queue)
        self._cache = SingleFlightCache(self._check_all)

    async def read(self) -> Components:
        """Return the state of every component, at most a few seconds old."""
        interval = self._live.now.health.interval_seconds
        return await self._cache.get(max_age_seconds=min(_MAX_AGE_SECONDS, interval))

    async def _check_all(self) -> Components:
        settings = self._live.now
        redis, streams, queue, workers, other_queues, providers = await asyncio.gather(
            _timed(self._ping),
            self._streams(),
            _timed(lambda: self._queue(settings)),
            _timed(self._worker_capacity),
            self._other_queues(settings),
            self._providers(settings),
        )
        system = {"redis": redis, **streams, "queue": queue, **other_queues, "workers": workers}
        return {**providers, **system}

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

    async def _other_queues(self, settings: Settings) -> Components:
        """Return a component `queue:NAME` for each other queue of the agents and models."""
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
                names = await self._agents.queues() | set(settings.models.queues.values())
        except (*REDIS_UNAVAILABLE, RedisError, TimeoutError):
            return {}
        others = sorted(names - {keys.MAIN_QUEUE})
        checks = [_timed(partial(self._queue, settings, name)) for name in others]
        queues = await asyncio.gather(*checks)
        return {f"queue:{name}": queue for name, queue in zip(others, queues, strict=True)}

    async def _queue(self, settings: Settings, name: str = keys.MAIN_QUEUE) -> Component:
        depth = (await read_depths(self._redis, [name]))[name]
        detail = f"{depth.waiting} waiting, {depth.running + depth.deferred} running"
        if depth.waiting:
            detail += f", oldest wait {depth.oldest_wait_ms / 1000:.1f} s"
        alive = await self._workers.alive()
        serving = [worker for worker in alive if not worker.draining]
        if alive and not any(worker.serves(keys.queue(name)) for worker in serving):
            detail += ", no worker serves it"
        full = 0 < settings.limits.queue_depth <= depth.waiting
        slow = full or depth.oldest_wait_ms > _LONG_WAIT_MS
        return Component(status="degraded" if slow else "healthy", detail=detail)

    async def _worker_capacity(self) -> Component:
        alive = [worker for worker in await self._workers.alive() if not worker.draining]
        if not alive:
            return Component(status="unhealthy", detail="No worker is alive.")
        running = sum(worker.running for worker in alive)
        slots = sum(worker.concurrency for worker in alive)
        detail = f"{len(alive)} alive, {running} of {slots} slots in use"
        return Component(status="degraded" if running >= slots else "healthy", detail=detail)

    async def _providers(self, settings: Settings) -> Components:
        names = _provider_names(settings)
        reports = await self._reports(names, settings)
        checks = {name: _provider(reports.get(name), settings) for name in names}
        if settings.openai.demo:
            checks["openai"] = Component(status="healthy", detail="Built-in demo model.")
        # A provider can have the same name as a system component.
        return {
            f"provider:{name}" if name in SYSTEM_COMPONENTS else name: component
            for name, component in checks.items()
        }

    async def _reports(self, names: list[str], settings: Settings) -> dict[str, ProviderReport]:
        if not settings.health.openai_check_enabled:
            return {}
        ttl = settings.health.interval_seconds * _MAX_MISSED_PROBES
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
        return Component(status="unhealthy", detail="Redis does not respond.")
    latency_ms = _rounded((time.perf_counter() - started_at) * 1000)
    return component.model_copy(update={"latency_ms": latency_ms})


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
        detail=report.error,
    )


def _rounded(milliseconds: float) -> float:
    return round(milliseconds, 1)
