"""Traces hold up no answer, and no process that leaves; and cost nothing while they are off."""

import signal
import time
from collections.abc import Sequence
from typing import Literal

import httpx
import pytest

from tests.e2e.conftest import System, end
from tests.support.otlp_collector import Collector
from tests.support.processes import Api, ServerProcess, free_port
from tests.support.traced import ask, asked, events, lines, open_house
from tests.support.upstream.client import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = "marker7f3a-key"


async def has(process: ServerProcess, event: str) -> None:
    async def probe() -> bool:
        return event in events(process)

    await until(probe, seconds=20)


async def both_leave(system: System) -> Sequence[float]:
    """How long each process took, in seconds, after SIGTERM; both must leave in good order."""
    took: list[float] = []
    for process in (*system.apis, *system.workers):
        began = time.monotonic()
        process.send(signal.SIGTERM)
        assert await process.ended(seconds=30) == 0
        took.append(time.monotonic() - began)
    return took


@pytest.mark.parametrize(("mood", "kind"), [("away", "ConnectionError"), ("hangs", "timeout")])
async def test_failing_collector_is_logged_and_delays_no_answer(
    upstream: Upstream, name: str, mood: Literal["away", "hangs"], kind: str
) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector("well" if mood == "away" else mood) as collector:
        env = {
            **collector.environment,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={KEY}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        }
        if mood == "away":
            env["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://user:{KEY}@127.0.0.1:{free_port()}"
        async with open_house(upstream, env) as system:
            for _ in range(3):
                assert "Hello" in (await ask(system, asked(name))).text
            for process in (*system.apis, *system.workers):
                await has(process, "tracing.export_failed")
                assert "Hello" in (await ask(system, asked(name))).text
            await both_leave(system)

            for process in (*system.apis, *system.workers):
                told = [line for line in lines(process) if line["event"] == "tracing.export_failed"]
                assert kind in [line["error"] for line in told]
                assert len({line["error"] for line in told}) == len(told)
                assert KEY not in process.output


async def test_shutdown_does_not_wait_for_a_hanging_collector(
    upstream: Upstream, name: str
) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector("hangs") as collector:
        env = {**collector.environment, "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
        async with open_house(upstream, env) as system:
            assert "Hello" in (await ask(system, asked(name))).text
            took = await both_leave(system)

    assert max(took) < 30


async def test_export_recovery_is_logged_after_a_refusal(upstream: Upstream, name: str) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector("refuses") as collector:
        async with open_house(upstream, collector.environment) as system:
            for _ in range(2):
                await ask(system, asked(name))
                await has(system.apis[0], "tracing.export_failed")
            collector.mood = "well"
            response = await ask(system, asked(name))
            await collector.of_run(response.headers["x-run-id"], "stream", "process run_chat")
            await has(system.apis[0], "tracing.export_recovered")
            told = [line for line in lines(system.apis[0]) if "export_failed" in line["event"]]

    assert [line["error"] for line in told] == ["HTTP 401"]


async def test_each_process_exports_remaining_spans_on_shutdown(
    upstream: Upstream, name: str
) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector() as collector:
        env = {
            **collector.environment,
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
            "MAMBA_SERVER__WORKERS": "2",
        }
        async with open_house(upstream, env) as system:
            runs = [(await ask(system, asked(name))).headers["x-run-id"] for _ in range(4)]
            assert not collector.bodies
            await both_leave(system)
            for run_id in runs:
                await collector.of_run(run_id, "stream", "process run_chat")


@pytest.mark.parametrize("on", [True, False])
async def test_disabled_tracing_does_not_import_the_sdk(
    upstream: Upstream, name: str, *, on: bool
) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector() as collector:
        told = {**collector.environment, "OTEL_SDK_DISABLED": str(not on)}
        async with open_house(upstream, {**told, "PYTHONPROFILEIMPORTTIME": "1"}) as system:
            response = await ask(system, asked(name))
            for process in (*system.apis, *system.workers):
                assert ("opentelemetry.sdk.trace" in process.output) is on
                assert ("opentelemetry.exporter" in process.output) is on
            run = await system.run(response.headers["x-run-id"])
            assert ("traceparent" in run) is on
            await both_leave(system)
        assert bool(collector.headers) is on


async def test_unsupported_exporter_is_logged_and_the_api_starts(system: System) -> None:
    env = {"OTEL_TRACES_EXPORTER": "zipkin"}
    api = Api(system.valkey.url, env).start()
    try:
        await api.ready()
        [told] = [line for line in lines(api) if line["event"] == "tracing.not_started"]
    finally:
        await end(api)

    assert "'zipkin' is not supported. Use otlp, console or none" in told["error"]
    assert told["hint"] == "docs/operate/tracing.md"


async def test_successful_export_causes_no_sdk_warnings(upstream: Upstream, name: str) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector() as collector:
        async with open_house(upstream, collector.environment) as system:
            assert "Hello" in (await ask(system, asked(name))).text
            async with httpx.AsyncClient() as client:
                await client.get(f"{system.apis[0].url}/models")
            await both_leave(system)

            for process in (*system.apis, *system.workers):
                assert "tracing.sdk_warned" not in events(process)
