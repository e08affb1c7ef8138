"""Asks the configured model endpoints how they are, for `GET /health` and `GET /models`.

One worker does it for all: whoever takes the turn. A provider that is down costs nothing but the
asking.
"""

import asyncio
import time

import structlog

from shared.background_task import BackgroundTask
from shared.providers.health import ProviderReport, ProviderReports
from shared.providers.names import Provider, configured
from shared.redis import keys
from shared.redis.client import REDIS_AWAY, Redis, RedisError
from shared.settings import HealthSettings
from shared.settings.live_settings import LiveSettings
from worker.models.errors import AuthenticationError, ModelBackendError, RateLimitError
from worker.models.registry import open_endpoint

log = structlog.stdlib.get_logger()

#: Rounds that a report outlives, so that a late worker is not taken for a dead provider.
_ROUNDS_KEPT = 3


class HealthProbe(BackgroundTask):
    def __init__(self, redis: Redis, live: LiveSettings, worker_id: str) -> None:
        self._redis = redis
        self._live = live
        self._worker_id = worker_id
        self._known: dict[str, bool] = {}

    async def _run(self) -> None:
        while True:
            settings = self._live.now.health
            try:
                if settings.openai_check_enabled and await self._take_turn(settings):
                    await self.ask_all()
            except (*REDIS_AWAY, RedisError) as error:
                log.debug("probe.redis_away", error=str(error))
            await asyncio.sleep(settings.interval_seconds)

    async def ask_all(self) -> None:
        """Ask each configured provider at once, and save what it says."""
        settings = self._live.now.health
        ttl = _ROUNDS_KEPT * settings.interval_seconds + settings.timeout_seconds
        reports = ProviderReports(self._redis, ttl=ttl)
        providers = [] if self._live.now.openai.demo else configured(self._live.now)
        for report in await asyncio.gather(*(_ask(one, settings) for one in providers)):
            await reports.save(report)
            self._log(report)

    async def _take_turn(self, settings: HealthSettings) -> bool:
        # Less than a whole interval: the one who had the last turn would else miss its own next.
        ttl_ms = int(settings.interval_seconds * 900)
        taken = await self._redis.execute_command(
            "SET", keys.PROBE_LEADER, self._worker_id, "NX", "PX", max(1, ttl_ms)
        )
        return taken is not None

    def _log(self, report: ProviderReport) -> None:
        """Changes alone: a provider that stays down is not news."""
        if self._known.get(report.name, True) != report.healthy:
            log.warning("probe.provider", provider=report.name, error=report.error)
        self._known[report.name] = report.healthy


async def _ask(provider: Provider, settings: HealthSettings) -> ProviderReport:
    endpoint = open_endpoint(provider)
    started = time.perf_counter()
    models: tuple[str, ...] = ()
    error: str | None = None
    try:
        async with asyncio.timeout(settings.timeout_seconds):
            models = await endpoint.models(timeout=settings.timeout_seconds)
    except TimeoutError:
        error = "model_timeout"
    except ModelBackendError as failure:
        error = _code(failure)
    finally:
        latency_ms = (time.perf_counter() - started) * 1000
        await endpoint.close()
    return ProviderReport(
        name=provider.name,
        healthy=error is None,
        latency_ms=round(latency_ms, 1),
        checked_at=time.time_ns() // 1_000_000,
        error=error,
        models=models,
    )


def _code(failure: ModelBackendError) -> str | None:
    """The code of an answer's failure for the same reason; None where the endpoint is well."""
    if isinstance(failure, AuthenticationError):
        return "model_auth"
    if isinstance(failure, RateLimitError) or failure.status in (404, 405):
        return None  # it answers; not everyone lists models
    if failure.status is not None:
        return "model_unavailable" if failure.status in (503, 529) else "model_error"
    return "model_timeout" if failure.timed_out else "model_unreachable"
