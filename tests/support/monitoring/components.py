"""Settings and provider reports of a deployment whose health is checked."""

import time
from typing import Any

from shared.providers.health import ProviderReport, ProviderReports
from shared.redis.client import Redis
from shared.settings import (
    HealthSettings,
    OpenAISettings,
    RedisSettings,
    Settings,
)
from tests.support.processes import Valkey

#: Disables the cache between requests.
UNCACHED = HealthSettings().model_copy(update={"interval_seconds": 1e-9})


def checked_settings(valkey: Valkey, **more: Any) -> Settings:
    openai = OpenAISettings.model_validate(
        {"api_key": "sk-marker", "base_url": "https://marker.example/v1"}
    )
    defaults: dict[str, Any] = {
        "redis": RedisSettings(url=valkey.url),
        "openai": openai,
        "health": UNCACHED,
    }
    return Settings(**{**defaults, **more})


async def save_report(redis: Redis, name: str, **more: Any) -> None:
    now = time.time_ns() // 1_000_000
    fields: dict[str, Any] = {"healthy": True, "latency_ms": 150.04, "checked_at": now, **more}
    await ProviderReports(redis, ttl=60).save(ProviderReport(name=name, **fields))
