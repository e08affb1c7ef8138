"""The state of everything that an answer needs, as `GET /health` tells it.

One look serves all who ask within a few seconds, however many they are; each part of it is bounded
in time. Details are read by anybody: they name no address and no key.
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
from shared.queue.queue_depth import read_backlog
from shared.redis import keys
from shared.redis.client import REDIS_AWAY, RedisError
from shared.runs.stores import Stores
from shared.settings import Settings
from shared.settings.live_settings import LiveSettings
from shared.single_flight import SingleFlightCache

#: All others are model endpoints, by name.
SYSTEM_COMPONENTS = ("redis", "streams", "queue", "workers")

Status = Literal["healthy", "degraded", "unhealthy", "unknown"]

_MAX_AGE_SECONDS = 5.0
_LOOK_SECONDS = 2.0
#: A job that waits longer finds no free worker.
_LONG_WAIT_MS = 10_000
#: Probes that a provider may miss before its report says nothing any more.
_MISSED_PROBES = 3


class Component(BaseModel):
    status: Status
    latency_ms: float | None = Field(default=None, description="How long its answer took")
    detail: str | None = Field(default=None, description="For people", examples=["2 alive"])


Components = dict[str, Component]


class ComponentChecks:
    """One a process."""

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
        redis, streams, queue, workers, others, providers = await asyncio.gather(
            _timed(self._ping),
            self._streams(),
            _timed(lambda: self._queue(settings)),
            _timed(self._working),
            self._other_queues(settings),
            self._providers(settings),
        )
        ours = {"redis": redis, **streams, "queue": queue, **others, "workers": workers}
        return {**providers, **ours}

    async def _ping(self) -> Component:
        await self._redis.execute_command("PING")
        return Component(status="healthy")

    async def _streams(self) -> Components:
        """`streams`, where the logs are apart."""
        return {"streams": await _timed(self._log_nodes)} if self._stores.split else {}

    async def _log_nodes(self) -> Component:
        replies = await self._stores.each_log_node("PING")
        away = sum(isinstance(reply, Exception) for reply in replies.values())
        if away or self._stores.uncovered:
            detail = f"{away} of {len(replies)} nodes do not answer"
            detail += f", {self._stores.uncovered} slots have none" * bool(self._stores.uncovered)
            status = "unhealthy" if away == len(replies) else "degraded"
            return Component(status=status, detail=detail)
        return Component(status="healthy", detail=f"{len(replies)} nodes")

    async def _other_queues(self, settings: Settings) -> Components:
        """`queue:NAME`, for each that agents or models have beside the main one."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                names = await self._agents.queues() | set(settings.models.queues.values())
        except (*REDIS_AWAY, RedisError, TimeoutError):
            return {}
        others = sorted(names - {keys.MAIN_QUEUE})
        looks = [_timed(partial(self._queue, settings, name)) for name in others]
        found = await asyncio.gather(*looks)
        return {f"queue:{name}": queue for name, queue in zip(others, found, strict=True)}

    async def _queue(self, settings: Settings, name: str = keys.MAIN_QUEUE) -> Component:
        backlog = await read_backlog(self._redis, keys.queue(name))
        detail = f"{backlog.waiting} waiting, {backlog.taken} taken"
        if backlog.waiting:
            detail += f", the oldest waits for {backlog.oldest_ms / 1000:.1f} s"
        alive = await self._workers.alive()
        if alive and not any(one.serves(keys.queue(name)) for one in alive if not one.draining):
            detail += ", no worker serves it"
        full = 0 < settings.limits.queue_depth <= backlog.waiting
        slow = full or backlog.oldest_ms > _LONG_WAIT_MS
        return Component(status="degraded" if slow else "healthy", detail=detail)

    async def _working(self) -> Component:
        alive = [worker for worker in await self._workers.alive() if not worker.draining]
        if not alive:
            return Component(status="unhealthy", detail="No worker is alive.")
        running = sum(worker.running for worker in alive)
        places = sum(worker.concurrency for worker in alive)
        detail = f"{len(alive)} alive, {running} of {places} places taken"
        return Component(status="degraded" if running >= places else "healthy", detail=detail)

    async def _providers(self, settings: Settings) -> Components:
        names = _provider_names(settings)
        reports = await self._reports(names, settings)
        checks = {name: _provider(reports.get(name), settings) for name in names}
        if settings.openai.demo:
            checks["openai"] = Component(status="healthy", detail="The built-in demo model.")
        # A provider may have the name of another component.
        return {
            f"provider:{name}" if name in SYSTEM_COMPONENTS else name: component
            for name, component in checks.items()
        }

    async def _reports(self, names: list[str], settings: Settings) -> dict[str, ProviderReport]:
        if not settings.health.openai_check_enabled:
            return {}
        ttl = settings.health.interval_seconds * _MISSED_PROBES
        oldest = time.time() * 1000 - ttl * 1000
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                found = await ProviderReports(self._redis, ttl=ttl).read(names)
        except (*REDIS_AWAY, RedisError, TimeoutError):
            return {}
        return {report.name: report for report in found if report.checked_at > oldest}


async def _timed(check: Callable[[], Awaitable[Component]]) -> Component:
    """The component as the check finds it; unhealthy where Redis does not answer in time."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            found = await check()
    except (*REDIS_AWAY, RedisError, TimeoutError):
        return Component(status="unhealthy", detail="Redis does not answer.")
    return found.model_copy(update={"latency_ms": _rounded((time.perf_counter() - began) * 1000)})


def _provider_names(settings: Settings) -> list[str]:
    openai = settings.openai
    configured = openai.api_key or openai.base_url or openai.demo
    return [*(["openai"] if configured else []), *settings.providers]


def _provider(report: ProviderReport | None, settings: Settings) -> Component:
    if report is None:
        asked = settings.health.openai_check_enabled
        detail = "No worker has reported on it yet." if asked else "It is not checked."
        return Component(status="unknown", detail=detail)
    return Component(
        status="healthy" if report.healthy else "unhealthy",
        latency_ms=_rounded(report.latency_ms),
        detail=report.error,
    )


def _rounded(milliseconds: float) -> float:
    return round(milliseconds, 1)
