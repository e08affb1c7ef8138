"""Health reports of model endpoints, written by workers and read by the API.

The API needs neither provider keys nor network access to providers.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.redis import keys
from shared.redis.client import Redis

#: Reports expire after this many intervals, so that a late check does not look like an outage.
REPORT_INTERVALS = 3


class ProviderReport(BaseModel):
    """The result of a health check of an endpoint. Times are Unix milliseconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    healthy: bool
    latency_ms: float
    checked_at: int
    #: Error code from `worker/models/run_failures.py` if the endpoint is unhealthy.
    error: str | None = None
    #: A description for people, without addresses or keys.
    detail: str | None = None
    #: The fields of the endpoint's error, as in the log.
    upstream: dict[str, str] = {}
    #: Model ids in the order of the endpoint.
    models: tuple[str, ...] = ()


class ProviderReports:
    """The latest report of each provider. Reports expire unless they are renewed."""

    def __init__(self, redis: Redis, *, ttl: float) -> None:
        self._redis = redis
        self._ttl_ms = int(ttl * 1000)

    async def save(self, report: ProviderReport) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.execute_command("HSET", keys.PROVIDERS, report.name, report.model_dump_json())
            pipe.execute_command("PEXPIRE", keys.PROVIDERS, self._ttl_ms)
            await pipe.execute()

    async def read(self, names: Sequence[str]) -> list[ProviderReport]:
        """Return the available reports of these providers, in the given order."""
        if not names:
            return []
        found: list[bytes | None] = await self._redis.execute_command(
            "HMGET", keys.PROVIDERS, *names
        )
        return [report for text in found if text and (report := _parse(text)) is not None]


def _parse(text: bytes) -> ProviderReport | None:
    """Return None for a report of another version that this process cannot parse."""
    try:
        return ProviderReport.model_validate_json(text)
    except ValidationError:
        return None
