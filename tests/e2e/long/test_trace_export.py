"""Trace export delays neither answers nor shutdown, and costs nothing while it is off."""

import signal
import time
from collections.abc import Sequence
from typing import Literal

import httpx
import pytest

from tests.support.processes import Api, ServerProcess, free_port
from tests.support.system.running_system import System, kill_process
from tests.support.tracing.otlp_collector import Collector
from tests.support.tracing.traced import ask, chat_request, log_lines, logged_events, open_system
from tests.support.upstream.client import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = "marker7f3a-key"


async def wait_for_log(process: ServerProcess, event: str) -> None:
    async def probe() -> bool:
        return event in logged_events(process)

    await until(probe, seconds=20)


async def terminate_both(system: System) -> Sequence[float]:
    """Send SIGTERM to each process; returns the seconds until it exits with status 0."""
    seconds: list[float] = []
    for process in (*system.apis, *system.workers):
        sent = time.monotonic()
        process.send(signal.SIGTERM)
        assert await process.ended(seconds=30) == 0
        seconds.append(time.monotonic() - sent)
    return seconds


@pytest.mark.parametrize(
    ("failure", "timeout", "error"),
    # The SDK reports the class of an error only before it tries again, which takes 0.8 to 1.2 s.
    [("unreachable", "5", "ConnectionError"), ("hang", "1", "no success in time")],
)
async def test_failing_collector_is_logged_and_delays_no_answer(
    upstream: Upstream,
    name: str,
    failure: Literal["unreachable", "hang"],
    timeout: str,
    error: str,
) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector("accept" if failure == "unreachable" else failure) as collector:
        env = {
            **collector.environment,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={KEY}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": timeout,
        }
        if failure == "unreachable":
            env["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://user:{KEY}@127.0.0.1:{free_port()}"
        async with open_system(upstream, env) as system:
            for _ in range(3):
                assert "Hello" in (await ask(system, chat_request(name))).text
            for process in (*system.apis, *system.workers):
                await wait_for_log(process, "tracing.export_failed")
                assert "Hello" in (await ask(system, chat_request(name))).text
            await terminate_both(system)

            for process in (*system.apis, *system.workers):
                errors = [
                    line["error"]
                    for line in log_lines(process)
                    if line["event"] == "tracing.export_failed"
                ]
                assert errors == [error]
                assert KEY not in process.output


async def test_shutdown_does_not_wait_for_a_hanging_collector(
    upstream: Upstream, name: str
) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector("hang") as collector:
        env = {**collector.environment, "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
        async with open_system(upstream, env) as system:
            assert "Hello" in (await ask(system, chat_request(name))).text
            seconds = await terminate_both(system)

    assert max(seconds) < 30


async def test_export_recovery_is_logged_after_a_refusal(upstream: Upstream, name: str) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector("refuse") as collector:
        async with open_system(upstream, collector.environment) as system:
            for _ in range(2):
                await ask(system, chat_request(name))
                await wait_for_log(system.apis[0], "tracing.export_failed")
            collector.behavior = "accept"
            response = await ask(system, chat_request(name))
            await collector.trace_of_run(response.headers["x-run-id"], "stream", "process run_chat")
            await wait_for_log(system.apis[0], "tracing.export_recovered")
            failures = [
                line for line in log_lines(system.apis[0]) if "export_failed" in line["event"]
            ]

    assert [line["error"] for line in failures] == ["HTTP 401"]


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
        async with open_system(upstream, env) as system:
            runs = [(await ask(system, chat_request(name))).headers["x-run-id"] for _ in range(4)]
            assert not collector.bodies
            await terminate_both(system)
            for run_id in runs:
                await collector.trace_of_run(run_id, "stream", "process run_chat")


@pytest.mark.parametrize("on", [True, False])
async def test_disabled_tracing_does_not_import_the_sdk(
    upstream: Upstream, name: str, *, on: bool
) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector() as collector:
        env = {**collector.environment, "OTEL_SDK_DISABLED": str(not on)}
        async with open_system(upstream, {**env, "PYTHONPROFILEIMPORTTIME": "1"}) as system:
            response = await ask(system, chat_request(name))
            for process in (*system.apis, *system.workers):
                assert ("opentelemetry.sdk.trace" in process.output) is on
                assert ("opentelemetry.exporter" in process.output) is on
            run = await system.run(response.headers["x-run-id"])
            assert ("traceparent" in run) is on
            await terminate_both(system)
        assert bool(collector.headers) is on


async def test_unsupported_exporter_is_logged_and_the_api_starts(system: System) -> None:
    env = {"OTEL_TRACES_EXPORTER": "zipkin"}
    api = Api(system.valkey.url, env).start()
    try:
        await api.ready()
        [warning] = [line for line in log_lines(api) if line["event"] == "tracing.not_started"]
    finally:
        await kill_process(api)

    assert "'zipkin' is not supported. Use otlp, console or none" in warning["error"]
    assert warning["hint"] == "docs/operate/tracing.md"


async def test_successful_export_causes_no_sdk_warnings(upstream: Upstream, name: str) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector() as collector:
        async with open_system(upstream, collector.environment) as system:
            assert "Hello" in (await ask(system, chat_request(name))).text
            async with httpx.AsyncClient() as client:
                await client.get(f"{system.apis[0].url}/models")
            await terminate_both(system)

            for process in (*system.apis, *system.workers):
                assert "tracing.sdk_warned" not in logged_events(process)
