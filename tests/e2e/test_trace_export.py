"""Traces never hold up an answer, nor a process that leaves; and cost nothing while they are off."""

import signal
import time
from collections.abc import Sequence
from typing import Literal

import pytest

from tests.collector import Collector
from tests.e2e.conftest import House, end
from tests.e2e.traced import ask, asked, events, lines, open_house
from tests.processes import Api, Process, free_port
from tests.upstream.client import Upstream
from tests.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = "marker7f3a-key"


async def has(process: Process, event: str) -> None:
    async def probe() -> bool:
        return event in events(process)

    await until(probe, seconds=20)


async def both_leave(house: House) -> Sequence[float]:
    """How long each process took, in seconds, after SIGTERM; both must leave in good order."""
    took: list[float] = []
    for process in (*house.apis, *house.workers):
        began = time.monotonic()
        process.send(signal.SIGTERM)
        assert await process.ended(seconds=30) == 0
        took.append(time.monotonic() - began)
    return took


@pytest.mark.parametrize(
    ("mood", "kind"), [("refuses", "HTTP 401"), ("away", "ConnectionError"), ("hangs", "timeout")]
)
async def test_a_collector_that_does_not_take_them_costs_a_line(
    upstream: Upstream, name: str, mood: Literal["refuses", "away", "hangs"], kind: str
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
        async with open_house(upstream, env) as house:
            for _ in range(3):
                assert "Hello" in (await ask(house, asked(name))).text
            for process in (*house.apis, *house.workers):
                await has(process, "tracing.export_failed")
                assert "Hello" in (await ask(house, asked(name))).text
            await both_leave(house)

            for process in (*house.apis, *house.workers):
                told = [line for line in lines(process) if line["event"] == "tracing.export_failed"]
                assert kind in [line["error"] for line in told]
                assert len({line["error"] for line in told}) == len(told)
                assert KEY not in process.output


async def test_a_process_that_leaves_does_not_wait_for_a_collector_that_hangs(
    upstream: Upstream, name: str
) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector("hangs") as collector:
        env = {**collector.environment, "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
        async with open_house(upstream, env) as house:
            assert "Hello" in (await ask(house, asked(name))).text
            took = await both_leave(house)

    assert max(took) < 30


async def test_what_is_left_at_the_end_is_sent(upstream: Upstream, name: str) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector() as collector:
        env = {**collector.environment, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
        async with open_house(upstream, env) as house:
            response = await ask(house, asked(name))
            assert not collector.bodies
            await both_leave(house)
            await collector.of_run(response.headers["x-run-id"], "stream", "process run_chat")


async def test_a_collector_that_comes_back_is_told_of(upstream: Upstream, name: str) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector("refuses") as collector:
        async with open_house(upstream, collector.environment) as house:
            await ask(house, asked(name))
            await has(house.apis[0], "tracing.export_failed")
            collector.mood = "well"
            response = await ask(house, asked(name))
            await collector.of_run(response.headers["x-run-id"], "stream", "process run_chat")
            await has(house.apis[0], "tracing.export_recovered")


async def test_several_api_processes_trace_each_their_own(upstream: Upstream, name: str) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector() as collector:
        env = {**collector.environment, "MAMBA_SERVER__WORKERS": "2"}
        async with open_house(upstream, env) as house:
            for _ in range(4):
                response = await ask(house, asked(name))
                await collector.of_run(response.headers["x-run-id"], "stream", "process run_chat")


@pytest.mark.parametrize("on", [True, False])
async def test_off_means_that_the_sdk_is_not_even_imported(
    upstream: Upstream, name: str, *, on: bool
) -> None:
    await upstream.script(name, [[{"text": ["Hello"]}]])
    with Collector() as collector:
        told = {**collector.environment, "OTEL_SDK_DISABLED": str(not on)}
        async with open_house(upstream, {**told, "PYTHONPROFILEIMPORTTIME": "1"}) as house:
            response = await ask(house, asked(name))
            for process in (*house.apis, *house.workers):
                assert ("opentelemetry.sdk.trace" in process.output) is on
                assert ("opentelemetry.exporter" in process.output) is on
            run = await house.run(response.headers["x-run-id"])
            assert ("traceparent" in run) is on
            await both_leave(house)
        assert bool(collector.headers) is on


async def test_variables_that_cannot_be_followed_leave_the_process_well(house: House) -> None:
    env = {"OTEL_TRACES_EXPORTER": "zipkin"}
    api = Api(house.valkey.url, env).start()
    try:
        await api.ready()
        [told] = [line for line in lines(api) if line["event"] == "tracing.not_started"]
    finally:
        await end(api)

    assert "'zipkin' is not among otlp, console and none" in told["error"]
    assert told["hint"] == "docs/tracing.md"
