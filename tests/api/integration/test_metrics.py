"""`GET /metrics` of the API reports the state of the deployment."""

import asyncio
from importlib.metadata import version
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.processes.workers import WorkerRegistry
from shared.providers.health import ProviderReport, ProviderReports
from shared.queue.pauses import Pauses
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.failure_meanings import MEANINGS
from shared.settings import (
    HealthSettings,
    LimitSettings,
    ModelSettings,
    RedisSettings,
)
from tests.support.api_client import client_of
from tests.support.fakes.jobs import use_queue
from tests.support.fakes.proxy import Proxy
from tests.support.fakes.workers import record, serving
from tests.support.monitoring.components import checked_settings, save_report
from tests.support.processes import Valkey
from tests.support.system.queue_simulation import QueueSimulation
from tests.support.wait import until

CHAT_BODY = {"messages": [{"role": "user", "content": "a secret of mine"}]}


async def read(client: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """Return the value of each sample by its name and label values."""
    response = await client.get("/metrics")
    assert response.status_code == 200, response.text
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def test_metrics_are_readable_without_authentication(
    redis: Redis,  # noqa: ARG001
    valkey: Valkey,
) -> None:
    async with client_of(checked_settings(valkey)) as client:
        response = await client.get("/metrics")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert response.headers["cache-control"] == "no-store"


async def test_queue_gauge_has_a_value_per_state(redis: Redis, valkey: Valkey) -> None:
    seconds, _ = await redis.execute_command("TIME")
    jobs = {"w1": -60, "w2": -1, "r": 2, "d": 500}
    for job, due in jobs.items():
        await redis.execute_command("ZADD", keys.QUEUE, (int(seconds) + due) * 1000, job)
    await redis.execute_command("PEXPIRE", keys.QUEUE, 60_000)
    await redis.execute_command("SET", keys.lease("r"), "worker", "PX", 60_000)

    async with client_of(checked_settings(valkey)) as client:
        samples = await read(client)

    assert samples["mamba_queue_runs", "main", "waiting"] == 2
    assert samples["mamba_queue_runs", "main", "running"] == 1
    assert samples["mamba_queue_runs", "main", "deferred"] == 1
    assert 60 <= samples["mamba_queue_oldest_wait_seconds", "main"] < 90


async def test_waiting_runs_of_a_paused_queue_are_held(redis: Redis, valkey: Valkey) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("a", 1)
    await simulation.claim()
    await simulation.add("a", 1)
    await simulation.add("a", 1, priority="background")
    await simulation.hand_over(after=0)  # due again, and it starts during the pause
    await Pauses(redis).begin("processing", keys.MAIN_QUEUE, operator="ann")

    async with client_of(checked_settings(valkey)) as client:
        samples = await read(client)

    states = ("waiting", "background", "held")
    assert [samples["mamba_queue_runs", "main", state] for state in states] == [1, 0, 2]


async def test_gauges_report_workers_redis_and_providers(redis: Redis, valkey: Valkey) -> None:
    await WorkerRegistry(redis).renew(record("a", running=3))
    leaving = record("b", running=1).model_copy(update={"draining": True})
    await WorkerRegistry(redis).renew(leaving)
    await save_report(redis, "openai", healthy=False, error="model_auth")

    hour = HealthSettings(interval_seconds=3600)
    async with client_of(checked_settings(valkey, health=hour)) as client:
        samples = await read(client)

    assert samples["mamba_workers", "serving"] == 1
    assert samples["mamba_workers", "draining"] == 1
    assert samples["mamba_workers_runs",] == 4
    assert samples["mamba_workers_slots",] == 4
    assert samples["mamba_redis_up",] == 1
    assert 0 < samples["mamba_redis_latency_seconds",] < 2
    assert samples["mamba_redis_memory_bytes",] > 100_000
    assert samples["mamba_redis_memory_limit_bytes",] == 0
    assert samples["mamba_provider_up", "openai"] == 0
    assert samples["mamba_provider_latency_seconds", "openai"] == pytest.approx(0.15)


async def test_gauges_report_every_queue_and_the_limit(redis: Redis, valkey: Valkey) -> None:
    seconds, _ = await redis.execute_command("TIME")
    await redis.execute_command("ZADD", keys.queue("local"), (int(seconds) - 60) * 1000, "job")
    await redis.execute_command("PEXPIRE", keys.queue("local"), 60_000)
    routed = ModelSettings(queues={"ollama/*": "local"})

    limits = LimitSettings(queue_depth=7)
    async with client_of(checked_settings(valkey, models=routed, limits=limits)) as client:
        samples = await read(client)

    assert samples["mamba_queue_runs", "local", "waiting"] == 1
    assert samples["mamba_queue_oldest_wait_seconds", "local"] >= 60
    assert samples["mamba_queue_runs", "main", "waiting"] == 0
    assert samples["mamba_queue_limit",] == 7


async def test_queue_without_workers_is_no_provider(redis: Redis, valkey: Valkey) -> None:
    await WorkerRegistry(redis).renew(serving("w", "main", running=1))
    await use_queue(redis, "unserved")

    async with client_of(checked_settings(valkey)) as client:
        samples = await read(client)
        components = (await client.get("/health")).json()["components"]

    assert samples["mamba_queue_runs", "unserved", "waiting"] == 1
    assert samples["mamba_queue_workers", "unserved"] == 0
    assert samples["mamba_queue_workers", "main"] == 1
    assert not [key for key in samples if "provider" in key[0] and "queue:" in key[1]]
    assert components["queue:unserved"]["status"] == "degraded"
    assert components["queue:unserved"]["detail"].endswith(", no worker serves it")


async def test_full_pool_is_reported_while_another_is_idle(redis: Redis, valkey: Valkey) -> None:
    await WorkerRegistry(redis).renew(serving("idle", "main", running=0))
    await WorkerRegistry(redis).renew(serving("full", "code", running=4))
    drained = serving("drained", "code", running=0).model_copy(update={"draining": True})
    await WorkerRegistry(redis).renew(drained)

    async with client_of(checked_settings(valkey)) as client:
        samples = await read(client)
        components = (await client.get("/health")).json()["components"]

    assert samples["mamba_queue_slots", "code"] == samples["mamba_queue_slots_used", "code"] == 4
    assert samples["mamba_queue_slots_used", "main"] == 0
    assert components["queue:code"]["status"] == "degraded"
    assert components["queue:code"]["detail"].endswith(", all 4 slots in use")
    assert components["queue"]["status"] == components["workers"]["status"] == "healthy"


async def test_known_codes_are_exported_before_the_first_failure(
    redis: Redis,  # noqa: ARG001
    valkey: Valkey,
) -> None:
    async with client_of(checked_settings(valkey)) as client:
        samples = await read(client)

    errors = {key[1] for key in samples if key[0] == "mamba_run_errors_total"}
    refusals = {key[1] for key in samples if key[0] == "mamba_http_refusals_total"}
    assert errors >= set(MEANINGS)
    assert refusals >= {"unauthenticated", "queue_full", "rate_limited", "unavailable"}
    assert ("mamba_stream_catch_ups_total", "missed") in samples
    assert ("mamba_runs_accepted_total", "research") in samples
    assert samples["mamba_workers_vanished_total",] == 0


async def test_first_server_error_of_a_route_is_expected(
    redis: Redis,  # noqa: ARG001
    valkey: Valkey,
) -> None:
    async with client_of(checked_settings(valkey)) as client:
        await client.get("/agents")
        samples = await read(client)

    assert samples["mamba_http_requests_total", "GET", "/agents", "500"] == 0


async def test_process_exports_version_and_settings_state(
    redis: Redis,  # noqa: ARG001
    valkey: Valkey,
) -> None:
    async with client_of(checked_settings(valkey)) as client:
        samples = await read(client)

    assert samples["mamba_build_info", version("mamba-server")] == 1
    assert samples["mamba_settings_loaded",] == 1


async def test_unresponsive_redis_is_reported_in_bounded_time(valkey: Valkey) -> None:
    async with Proxy(valkey.port) as proxy:
        through = checked_settings(
            valkey, redis=RedisSettings(url=f"redis://127.0.0.1:{proxy.port}/0")
        )
        async with client_of(through) as client:
            await read(client)
            proxy.freeze()

            async def redis_down() -> dict[tuple[str, ...], float]:
                samples = await read(client)
                return samples if samples["mamba_redis_up",] == 0 else {}

            async with asyncio.timeout(8):
                samples = await until(redis_down)

    assert not [key for key in samples if key[0] == "mamba_queue_runs"]


async def test_concurrent_scrapes_share_one_snapshot(redis: Redis, valkey: Valkey) -> None:
    async with client_of(checked_settings(valkey)) as client:
        await redis.execute_command("CONFIG", "RESETSTAT")
        await asyncio.gather(*(client.get("/metrics") for _ in range(20)))
        stats: dict[str, Any] = await redis.execute_command("INFO", "commandstats")

    # No call if the snapshot of a concurrent sample is reused.
    assert stats.get("cmdstat_info", {"calls": 0})["calls"] <= 1


async def test_requests_are_counted_by_route_template(
    redis: Redis,  # noqa: ARG001
    valkey: Valkey,
) -> None:
    async with client_of(checked_settings(valkey)) as client:
        before = await read(client)
        for path in ("/chat/somebody/stream", "/chat/another/stream", "/no/such/page"):
            await client.get(path)
        await client.request("BREW", "/chat")
        samples = await read(client)
        text = (await client.get("/metrics")).text

    def counted(*key: str) -> float:
        return samples.get(key, 0) - before.get(key, 0)

    assert counted("mamba_http_requests_total", "GET", "/chat/{chat_id}/stream", "204") == 2
    assert counted("mamba_http_requests_total", "GET", "other", "404") == 1
    assert counted("mamba_http_requests_total", "other", "/chat", "405") == 1
    seconds = "mamba_http_request_duration_seconds_count"
    assert counted(seconds, "GET", "/chat/{chat_id}/stream") == 2
    assert "somebody" not in text
    assert "BREW" not in text


async def test_refusals_are_counted_by_code(redis: Redis, valkey: Valkey) -> None:
    await redis.execute_command("ZADD", keys.QUEUE, 1, "job")
    await redis.execute_command("PEXPIRE", keys.QUEUE, 60_000)
    await ProviderReports(redis, ttl=60).save(
        ProviderReport(name="openai", healthy=True, latency_ms=1, checked_at=1)
    )

    async with client_of(checked_settings(valkey, limits=LimitSettings(queue_depth=1))) as client:
        before = await read(client)
        assert (await client.post("/chat", json=CHAT_BODY)).status_code == 429
        samples = await read(client)
        text = (await client.get("/metrics")).text

    key = ("mamba_http_refusals_total", "queue_full")
    assert samples[key] - before.get(key, 0) == 1
    assert "secret" not in text
