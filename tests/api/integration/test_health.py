"""`GET /health` reports failing components, shares checks, and reveals no secret."""

import asyncio
import json
from typing import Any, cast

import pytest

from api.monitoring.component_checks import ComponentChecks
from shared.monitoring.snapshot import LONG_WAIT_MS, SystemMonitor
from shared.processes.workers import WorkerRegistry
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.stores import Stores
from shared.settings import (
    HealthSettings,
    LimitSettings,
    ModelSettings,
    OpenAISettings,
    ProviderSettings,
    RedisSettings,
    Settings,
)
from shared.settings.live_settings import LiveSettings
from tests.support.api_client import client_of
from tests.support.fakes.jobs import lease_job, put_job
from tests.support.fakes.proxy import Proxy
from tests.support.fakes.workers import record
from tests.support.monitoring.components import checked_settings, save_report
from tests.support.monitoring.monitors import no_queues
from tests.support.processes import Valkey


async def test_complete_deployment_is_healthy(redis: Redis, valkey: Valkey) -> None:
    await WorkerRegistry(redis).renew(record("w", running=1))
    hour = HealthSettings(interval_seconds=3600)
    await save_report(redis, "openai")

    async with client_of(checked_settings(valkey, health=hour)) as client:
        response = await client.get("/health")

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body["status"] == "healthy"
    components = body["components"]
    assert set(components) == {"openai", "redis", "queue", "workers"}
    assert components["openai"] == {"status": "healthy", "latency_ms": 150.0}
    assert components["queue"]["detail"] == "0 waiting, 0 running"
    assert components["workers"]["detail"] == "1 alive, 1 of 4 slots in use"
    assert all(component["latency_ms"] >= 0 for component in components.values())


async def test_deployment_without_worker_is_unhealthy(redis: Redis, valkey: Valkey) -> None:
    leaving = record("leaving").model_copy(update={"draining": True})
    await WorkerRegistry(redis).renew(leaving)

    async with client_of(checked_settings(valkey)) as client:
        response = await client.get("/health")

    assert response.status_code == 503
    assert response.json()["status"] == "unhealthy"
    assert response.json()["components"]["workers"]["status"] == "unhealthy"


async def test_failing_provider_degrades_and_unknown_does_not(redis: Redis, valkey: Valkey) -> None:
    await WorkerRegistry(redis).renew(record("w"))
    providers = {
        name: ProviderSettings(base_url="https://marker.example/v1")
        for name in ("other", "silent", "redis")
    }
    hour = HealthSettings(interval_seconds=3600)
    await save_report(redis, "openai")
    await save_report(redis, "other", healthy=False, error="model_auth")
    await save_report(redis, "stranger", healthy=False, error="model_auth")

    async with client_of(checked_settings(valkey, health=hour, providers=providers)) as client:
        response = await client.get("/health")

    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "degraded"
    found = {name: component["status"] for name, component in body["components"].items()}
    assert found == {
        "openai": "healthy",
        "other": "unhealthy",
        "silent": "unknown",
        "provider:redis": "unknown",
        "redis": "healthy",
        "queue": "healthy",
        "workers": "healthy",
    }
    assert body["components"]["other"]["detail"] == "model_auth"
    assert "marker" not in response.text


async def test_expired_provider_report_is_unknown(redis: Redis, valkey: Valkey) -> None:
    await save_report(redis, "openai", healthy=False, checked_at=1)

    async with client_of(checked_settings(valkey)) as client:
        body = (await client.get("/health")).json()

    assert body["components"]["openai"]["status"] == "unknown"


async def test_disabled_provider_check_is_unknown(redis: Redis, valkey: Valkey) -> None:
    await save_report(redis, "openai", healthy=False)
    unchecked = HealthSettings(openai_check_enabled=False)

    async with client_of(checked_settings(valkey, health=unchecked)) as client:
        body = (await client.get("/health")).json()

    assert body["components"]["openai"] == {"status": "unknown", "detail": "The check is disabled."}


async def test_demo_model_is_healthy(redis: Redis, valkey: Valkey) -> None:  # noqa: ARG001
    async with client_of(checked_settings(valkey, openai=OpenAISettings(demo=True))) as client:
        body = (await client.get("/health")).json()

    assert body["components"]["openai"]["status"] == "healthy"


@pytest.mark.parametrize(
    ("wait_ms", "status"), [(LONG_WAIT_MS - 7_000, "healthy"), (LONG_WAIT_MS, "degraded")]
)
async def test_queue_with_a_long_wait_is_degraded(
    redis: Redis, valkey: Valkey, wait_ms: int, status: str
) -> None:
    await WorkerRegistry(redis).renew(record("w"))
    await put_job(redis, "job", due=-wait_ms)

    async with client_of(checked_settings(valkey)) as client:
        body = (await client.get("/health")).json()

    queue = body["components"]["queue"]
    assert (body["status"], queue["status"]) == (status, status)
    assert queue["detail"].startswith("1 waiting, 0 running, oldest wait")


async def test_deferred_runs_do_not_count_as_running(redis: Redis, valkey: Valkey) -> None:
    await WorkerRegistry(redis).renew(record("w"))
    await put_job(redis, "running", due=60_000)
    await lease_job(redis, "running")
    await put_job(redis, "deferred", due=60_000)

    async with client_of(checked_settings(valkey)) as client:
        queue = (await client.get("/health")).json()["components"]["queue"]

    assert queue["detail"] == "0 waiting, 1 running, 1 deferred"


async def test_full_queue_is_degraded(redis: Redis, valkey: Valkey) -> None:
    await WorkerRegistry(redis).renew(record("w"))
    seconds, _ = await redis.execute_command("TIME")
    await redis.execute_command("ZADD", keys.QUEUE, int(seconds) * 1000, "job")
    await redis.execute_command("PEXPIRE", keys.QUEUE, 60_000)

    async with client_of(checked_settings(valkey, limits=LimitSettings(queue_depth=1))) as client:
        body = (await client.get("/health")).json()

    assert body["components"]["queue"]["status"] == "degraded"


async def test_queue_without_limit_is_never_full(redis: Redis, valkey: Valkey) -> None:
    await WorkerRegistry(redis).renew(record("w"))

    async with client_of(checked_settings(valkey, limits=LimitSettings(queue_depth=0))) as client:
        body = (await client.get("/health")).json()

    assert body["components"]["queue"]["status"] == "healthy"


async def test_each_queue_reports_whether_a_worker_serves_it(redis: Redis, valkey: Valkey) -> None:
    main_only = record("w").model_copy(update={"queues": (keys.MAIN_QUEUE,)})
    await WorkerRegistry(redis).renew(main_only)
    seconds, _ = await redis.execute_command("TIME")
    await redis.execute_command("ZADD", keys.queue("local"), (int(seconds) - 60) * 1000, "job")
    await redis.execute_command("PEXPIRE", keys.queue("local"), 60_000)
    routed = ModelSettings(queues={"ollama/*": "local", "vllm/*": "idle", "*": "main"})

    async with client_of(checked_settings(valkey, models=routed)) as client:
        body = (await client.get("/health")).json()

    queues = {name: c for name, c in body["components"].items() if name.startswith("queue")}
    assert body["status"] == "degraded"
    assert {name: queue["status"] for name, queue in queues.items()} == {
        "queue": "healthy",
        "queue:idle": "healthy",
        "queue:local": "degraded",
    }
    assert queues["queue"]["detail"] == "0 waiting, 0 running"
    assert queues["queue:idle"]["detail"] == "0 waiting, 0 running, no worker serves it"
    assert queues["queue:local"]["detail"].startswith("1 waiting, 0 running, oldest wait")


async def test_unresponsive_redis_is_unhealthy_in_bounded_time(valkey: Valkey) -> None:
    async with Proxy(valkey.port) as proxy:
        through = checked_settings(
            valkey, redis=RedisSettings(url=f"redis://127.0.0.1:{proxy.port}/0")
        )
        async with client_of(through) as client:
            await client.get("/health")
            proxy.freeze()
            async with asyncio.timeout(8):
                response = await client.get("/health")

    assert response.status_code == 503
    components = response.json()["components"]
    for name in ("redis", "queue", "workers"):
        assert components[name] == {"status": "unhealthy", "detail": "Redis does not respond."}


class RecordingRedis:
    """Forwards commands to Redis and records their names."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.commands: list[str] = []

    async def execute_command(self, *args: Any) -> Any:
        self.commands.append(str(args[0]))
        return await self._redis.execute_command(*args)


@pytest.fixture
def recording(redis: Redis) -> RecordingRedis:
    return RecordingRedis(redis)


def checks_over(recording: RecordingRedis, settings: Settings) -> ComponentChecks:
    redis = cast("Redis", recording)
    stores = Stores(redis, redis, live_ttl=60, retention=60)
    return ComponentChecks(stores, LiveSettings(settings), SystemMonitor(stores, no_queues))


async def test_concurrent_requests_share_one_check(recording: RecordingRedis) -> None:
    hour = Settings(health=HealthSettings(interval_seconds=3600))
    checks = checks_over(recording, hour)

    found = await asyncio.gather(*(checks.read() for _ in range(50)))
    found.append(await checks.read())

    assert recording.commands.count("PING") == 1
    assert (
        len({json.dumps([c.model_dump() for c in components.values()]) for components in found})
        == 1
    )


async def test_cancelled_request_does_not_cancel_the_check(recording: RecordingRedis) -> None:
    checks = checks_over(recording, Settings())
    leaving = asyncio.create_task(checks.read())
    staying = asyncio.create_task(checks.read())
    await asyncio.sleep(0)
    leaving.cancel()

    assert (await staying)["redis"].status == "healthy"
    assert recording.commands.count("PING") == 1
