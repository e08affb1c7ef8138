"""Health reports of the providers, and the API's model list that uses them."""

import asyncio
from contextlib import suppress
from typing import Any

from pydantic import SecretStr
from structlog.testing import capture_logs

from api.catalog.model_list import ModelList
from shared.providers.health import ProviderReport, ProviderReports
from shared.redis import keys
from shared.redis.client import Redis
from shared.settings import (
    HealthSettings,
    ModelSettings,
    OpenAISettings,
    ProviderSettings,
    Settings,
)
from shared.settings.live_settings import LiveSettings
from tests.support.processes import free_port
from tests.support.upstream.client import Upstream
from tests.support.wait import until
from worker.models.health_probe import HealthProbe

KEY = "sk-very-secret"


def settings(upstream: Upstream, *, openai: dict[str, Any] | None = None, **more: Any) -> Settings:
    section: dict[str, Any] = {"api_key": SecretStr(KEY), "base_url": upstream.base_url}
    return Settings(openai=OpenAISettings(**section, **(openai or {})), **more)


async def reports_of(redis: Redis, *names: str) -> dict[str, ProviderReport]:
    reports = await ProviderReports(redis, ttl=0).read(names)
    return {report.name: report for report in reports}


async def test_report_contains_each_configured_provider_and_its_models(
    redis: Redis, upstream: Upstream
) -> None:
    await upstream.clear()
    await upstream.script("listed", [[{"text": ["x"]}]])
    url = f"http://127.0.0.1:{free_port()}/v1"
    away = ProviderSettings(base_url=f"{url}?key={KEY}")
    live = LiveSettings(settings(upstream, providers={"away": away}))

    with capture_logs() as logs:
        await HealthProbe(redis, live, "w1").probe_all()

    reports = await reports_of(redis, "openai", "away", "ollama", "vllm", "lmstudio")
    assert reports.keys() == {"openai", "away"}
    assert (reports["openai"].healthy, reports["openai"].models) == (True, ("listed",))
    assert reports["openai"].latency_ms > 0
    assert (reports["away"].healthy, reports["away"].error) == (False, "model_unreachable")
    assert [(log["provider"], log["base_url"]) for log in logs] == [("away", url)]
    assert KEY not in repr(logs)


async def test_rejected_key_differs_from_unreachable_endpoint(redis: Redis) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    openai = OpenAISettings(api_key=SecretStr(KEY), base_url=f"http://127.0.0.1:{port}/v1")

    async with server:
        await HealthProbe(redis, LiveSettings(Settings(openai=openai)), "w1").probe_all()

    assert (await reports_of(redis, "openai"))["openai"].error == "model_auth"


async def test_only_one_worker_probes(redis: Redis, upstream: Upstream) -> None:
    live = LiveSettings(settings(upstream, health=HealthSettings(interval_seconds=30)))

    async with (
        HealthProbe(redis, live, "w1"),
        HealthProbe(redis, live, "w2"),
        HealthProbe(redis, live, "w3"),
    ):
        holder: bytes = await until(lambda: redis.execute_command("GET", keys.PROBE_LEADER))
        await until(lambda: redis.execute_command("HEXISTS", keys.PROVIDERS, "openai"))

    assert holder in (b"w1", b"w2", b"w3")


async def test_another_worker_probes_after_the_leader_stops(
    redis: Redis, upstream: Upstream
) -> None:
    live = LiveSettings(settings(upstream, health=HealthSettings(interval_seconds=0.2)))
    async with HealthProbe(redis, live, "w1"):
        await until(lambda: redis.execute_command("HEXISTS", keys.PROVIDERS, "openai"))
    await redis.execute_command("DEL", keys.PROVIDERS)

    async with HealthProbe(redis, live, "w2"):
        await until(lambda: redis.execute_command("HEXISTS", keys.PROVIDERS, "openai"))


async def test_probe_can_be_disabled(redis: Redis, upstream: Upstream) -> None:
    off = HealthSettings(openai_check_enabled=False, interval_seconds=0.01)
    live = _CountingSettings(settings(upstream, health=off))

    async with HealthProbe(redis, live, "w1"):
        await live.reads(3)

    assert not await redis.execute_command("KEYS", "*")


class _CountingSettings(LiveSettings):
    """Counts reads of the settings. A disabled probe reads them once per interval."""

    def __init__(self, given: Settings) -> None:
        self._reads = asyncio.Semaphore(0)
        super().__init__(given)

    def __getattribute__(self, name: str) -> Any:
        if name == "now":
            self._reads.release()
        return super().__getattribute__(name)

    async def reads(self, count: int) -> None:
        async with asyncio.timeout(10):
            for _ in range(count):
                await self._reads.acquire()


async def test_slow_endpoint_probe_times_out(redis: Redis) -> None:
    """Each byte arrives in time, but the response never ends."""

    async def respond_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while not gone.is_set():
            writer.write(b" ")
            with suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), 0.02)
        writer.close()
        closed.set()

    gone, closed = asyncio.Event(), asyncio.Event()

    async with await asyncio.start_server(respond_slowly, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        openai = OpenAISettings(api_key=SecretStr(KEY), base_url=f"http://127.0.0.1:{port}/v1")
        health = HealthSettings(timeout_seconds=0.2)
        async with asyncio.timeout(10):
            await HealthProbe(
                redis, LiveSettings(Settings(openai=openai, health=health)), "w1"
            ).probe_all()
        gone.set()
        await closed.wait()

    report = (await reports_of(redis, "openai"))["openai"]
    assert (report.healthy, report.error) == (False, "model_timeout")


async def listed(redis: Redis, given: Settings) -> list[tuple[str, str, bool]]:
    models = await ModelList(LiveSettings(given), redis).read()
    return [(model.id, model.name, model.default) for model in models]


async def test_model_list_combines_settings_and_reports(redis: Redis, upstream: Upstream) -> None:
    models = ("meta-llama/Llama-3", "text-embedding-3-small", "whisper-1", "gpt-4o")
    report = ProviderReport(name="own", healthy=True, latency_ms=1, checked_at=1, models=models)
    await ProviderReports(redis, ttl=60).save(report)
    given = settings(
        upstream,
        openai={"models": ("gpt-4o-mini", "openai/gpt-4o")},
        providers={"own": ProviderSettings(base_url=upstream.base_url)},
    )

    assert await listed(redis, given) == [
        ("openai/gpt-4o", "GPT-4o", True),
        ("openai/gpt-4o-mini", "GPT-4o-mini", False),
        ("own/gpt-4o", "GPT-4o", False),
        ("own/meta-llama/Llama-3", "Llama-3", False),
    ]


async def test_model_list_omits_models_that_are_not_allowed(
    redis: Redis, upstream: Upstream
) -> None:
    given = settings(
        upstream,
        openai={"models": ("gpt-4o", "gpt-5", "o3")},
        models=ModelSettings(allowed=("openai/gpt-*",)),
    )

    assert [id_ for id_, _, _ in await listed(redis, given)] == ["openai/gpt-4o", "openai/gpt-5"]


async def test_model_list_includes_provider_known_only_to_workers(redis: Redis) -> None:
    report = ProviderReport(
        name="openai", healthy=True, latency_ms=1, checked_at=1, models=("gpt-5",)
    )
    await ProviderReports(redis, ttl=60).save(report)

    assert [id_ for id_, _, _ in await listed(redis, Settings())] == [
        "openai/gpt-4o",
        "openai/gpt-5",
    ]
