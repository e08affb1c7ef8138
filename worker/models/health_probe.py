"""Checks the configured model endpoints, for `GET /health` and `GET /models`.

One worker, the leader, checks them for the whole deployment.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from shared.background_task import BackgroundTask
from shared.providers.health import REPORT_INTERVALS, ProviderReport, ProviderReports
from shared.providers.names import Provider, configured_providers
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis, RedisError
from shared.settings import HealthSettings
from shared.settings.live_settings import LiveSettings
from shared.telemetry.logs import raise_location
from worker.models.endpoint import Endpoint
from worker.models.endpoint_errors import ModelBackendError, RateLimitError
from worker.models.registry import open_endpoint
from worker.models.run_failures import FAILURES_BY_REASON
from worker.models.transport.model_list import ModelIds

log = structlog.stdlib.get_logger()


class HealthProbe(BackgroundTask):
    """Checks the endpoints at intervals while this worker is the leader."""

    def __init__(self, redis: Redis, live: LiveSettings, worker_id: str) -> None:
        self._redis = redis
        self._live = live
        self._worker_id = worker_id
        self._healthy: dict[str, bool] = {}
        #: Providers whose path for chat requests was checked, with the settings it was checked for.
        self._checked: dict[str, Provider] = {}

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
        ttl = REPORT_INTERVALS * settings.interval_seconds + settings.timeout_seconds
        reports = ProviderReports(self._redis, ttl=ttl)
        providers = [] if self._live.now.openai.demo else configured_providers(self._live.now)
        checks = (self._check(provider, settings.timeout_seconds) for provider in providers)
        for provider, report in zip(providers, await asyncio.gather(*checks), strict=True):
            await reports.save(report)
            self._log_change(provider, report)

    async def _check(self, provider: Provider, timeout: float) -> ProviderReport:
        """Check one provider. Whatever it sends, the result is a report."""
        started = time.perf_counter()
        models, error = ModelIds(()), _NO_ERROR
        try:
            async with open_endpoint(provider) as endpoint:
                started = time.perf_counter()
                async with asyncio.timeout(timeout):
                    models = await self._request_models(provider, endpoint, timeout)
        except TimeoutError:
            error = _Error("model_timeout")
        except ModelBackendError as failure:
            error = _error_of(failure)
        except Exception as unexpected:  # noqa: BLE001  (must affect this report only)
            error = _Error("internal_error")
            log.error(  # noqa: TRY400  (error messages may contain keys)
                "probe.failed",
                message="Check of a model endpoint failed with an unexpected error",
                provider=provider.name,
                error=type(unexpected).__name__,
                where=raise_location(unexpected),
            )
        return ProviderReport(
            name=provider.name,
            healthy=error.code is None,
            latency_ms=round((time.perf_counter() - started) * 1000, 1),
            checked_at=time.time_ns() // 1_000_000,
            error=error.code,
            detail=error.detail or _note(models),
            upstream={name: str(value) for name, value in error.fields.items()},
            models=models.ids,
        )

    async def _request_models(
        self, provider: Provider, endpoint: Endpoint, timeout: float
    ) -> ModelIds:
        """Request the models, and check once that chat requests have the right path."""
        models, listed = ModelIds(()), True
        try:
            models = await endpoint.models(timeout=timeout)
        except RateLimitError:
            return models
        except ModelBackendError as failure:
            if not _lists_no_models(failure, provider):
                raise
            listed = False
        if not listed or self._checked.get(provider.name) != provider:
            await endpoint.check_chat_path(timeout=timeout)
            self._checked[provider.name] = provider
        return models

    async def _try_become_leader(self, settings: HealthSettings) -> bool:
        # Shorter than an interval, so that the previous leader can win the next election too.
        ttl_ms = int(settings.interval_seconds * 900)
        elected = await self._redis.execute_command(
            "SET", keys.PROBE_LEADER, self._worker_id, "NX", "PX", max(1, ttl_ms)
        )
        return elected is not None

    def _log_change(self, provider: Provider, report: ProviderReport) -> None:
        """Log a provider whose state has changed, not one that stays down."""
        if self._healthy.get(report.name, True) != report.healthy:
            log.warning(
                "probe.provider",
                message="Health of a model endpoint changed",
                provider=report.name,
                base_url=provider.base_url.partition("?")[0],  # the query may contain a key
                error=report.error,
                **report.upstream,
            )
        self._healthy[report.name] = report.healthy


@dataclass(frozen=True, slots=True)
class _Error:
    """Why an endpoint is unhealthy: the code of failed runs, and what it sent."""

    code: str | None = None
    detail: str | None = None
    fields: Mapping[str, str | int] = field(default_factory=dict[str, str | int])


_NO_ERROR = _Error()


def _lists_no_models(failure: ModelBackendError, provider: Provider) -> bool:
    """Return whether the endpoint may work although it lists no models, like some servers."""
    if failure.status in (404, 405, 501):
        return True
    reason = failure.upstream.reason if failure.upstream else None
    return bool(provider.settings.models) and reason in ("not_a_completion", "rejected")


def _error_of(failure: ModelBackendError) -> _Error:
    upstream = failure.upstream
    if upstream is None:
        return _Error("model_timeout" if failure.timed_out else "model_unreachable")
    reason = upstream.reason
    if reason is None:
        return _Error("model_error", fields=upstream.fields())
    code = "model_endpoint" if reason == "rejected" else FAILURES_BY_REASON[reason].code
    detail = upstream.received
    if reason == "endpoint" and detail is None:
        detail = "The server has nothing at this path. Check the base URL."
    return _Error(code, detail, upstream.fields())


def _note(models: ModelIds) -> str | None:
    """Describe what was left out of the list."""
    return f"{models.left_out} models without a usable id left out" if models.left_out else None
