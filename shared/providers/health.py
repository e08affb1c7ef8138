"""What the workers last heard from each model endpoint: written by one of them, read by the API.

The API holds no provider's key and needs no way to its network.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from shared.redis import keys
from shared.redis.client import Redis


class ProviderReport(BaseModel):
    """One endpoint's answer. Times are Unix milliseconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    healthy: bool
    latency_ms: float
    checked_at: int
    #: Why it is not healthy, as a code of `worker/jobs/failures.py`.
    error: str | None = None
    #: The ids of its models, as it lists them; empty where it lists none.
    models: tuple[str, ...] = ()


class ProviderReports:
    """The newest report of each provider, for as long as somebody renews them."""

    def __init__(self, redis: Redis, *, ttl: float) -> None:
        self._redis = redis
        self._ttl_ms = int(ttl * 1000)

    async def save(self, report: ProviderReport) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.execute_command("HSET", keys.PROVIDERS, report.name, report.model_dump_json())
            pipe.execute_command("PEXPIRE", keys.PROVIDERS, self._ttl_ms)
            await pipe.execute()

    async def read(self, names: Sequence[str]) -> list[ProviderReport]:
        """The reports there are of these providers, in their order."""
        if not names:
            return []
        found: list[bytes | None] = await self._redis.execute_command(
            "HMGET", keys.PROVIDERS, *names
        )
        return [ProviderReport.model_validate_json(text) for text in found if text is not None]
