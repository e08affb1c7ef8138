"""Checks the configured model endpoints, for `GET /health` and `GET /models`.

One worker, the leader, checks them for the whole deployment.
"""

import asyncio
import time

import structlog

from shared.background_task import BackgroundTask
from shared.providers.health import ProviderReport, ProviderReports
from shared.providers.names import Provider, configured_providers
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis, RedisError
from shared.settings import HealthSettings
from shared.settings.live_settings import LiveSettings
from worker.models.endpoint_errors import AuthenticationError, ModelBackendError, RateLimitError
from worker.models.registry import open_endpoint

log = structlog.stdlib.get_logger()

#: Reports expire after this many intervals, so that a late check does not look like an outage.
_REPORT_INTERVALS = 3


class HealthProbe(BackgroundTask):
    def __init__(self, redis: Redis, live: LiveSettings, worker_id: str) -> None:
        self._redis = redis
        self._live = live
        self._worker_id = worker_id
        self._healthy: dict[str, bool] = {}

    async def _run(self) -> None:
        while True:
            settings = self._live.now.health
            try:
                if settings.openai_check_enabled and await self._try_become_leader(settings):
                    await self.probe_all()
            except (*REDIS_UNAVAILABLE, RedisError) as error:
                log.debug(
                    "probe.redis_unavailable",
                    message="Model endpoints not checked because Redis is unavailable",
                    error=str(error),
                )
            await asyncio.sleep(settings.interval_seconds)

    async def probe_all(self) -> None:
        """Check all configured providers concurrently, and save their reports."""
        settings = self._live.now.health
        ttl = _REPORT_INTERVALS * settings.interval_seconds + settings.timeout_seconds
        reports = ProviderReports(self._redis, ttl=ttl)
        providers = [] if self._live.now.openai.demo else configured_providers(self._live.now)
        for report in await asyncio.gather(*(_probe(provider, settings) for provider in providers)):
            await reports.save(report)
            self._log_change(report)

    async def _try_become_leader(self, settings: HealthSettings) -> bool:
        # Shorter than an interval, so that the previous leader can win the next election too.
        ttl_ms = int(settings.interval_seconds * 900)
        elected = await self._redis.execute_command(
            "SET", keys.PROBE_LEADER, self._worker_id, "NX", "PX", max(1, ttl_ms)
        )
        return elected is not None

    def _log_change(self, report: ProviderReport) -> None:
        """Log a provider whose state has changed, not one that stays down."""
        if self._healthy.get(report.name, True) != report.healthy:
            log.warning(
                "probe.provider",
                message="Health of a model endpoint changed",
                provider=report.name,
                error=report.error,
            )
        self._healthy[report.name] = report.healthy


async def _probe(provider: Provider, settings: HealthSettings) -> ProviderReport:
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
    """The error code that a run would fail with, or None if the endpoint is healthy."""
    if isinstance(failure, AuthenticationError):
        return "model_auth"
    if isinstance(failure, RateLimitError) or failure.status in (404, 405):
        return None  # reachable; not every server lists its models
    if failure.status is not None:
        return "model_unavailable" if failure.status in (503, 529) else "model_error"
    return "model_timeout" if failure.timed_out else "model_unreachable"
