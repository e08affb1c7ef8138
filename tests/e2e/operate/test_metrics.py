"""Metrics of real processes, as Prometheus scrapes them."""

import os
import signal
from collections.abc import Awaitable, Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.api_key import hash_of, new_api_key
from tests.support.processes import Api, free_port, start_all
from tests.support.sse_client import Json, SseClient, check_whole
from tests.support.system.api_processes import api_processes, pids, started
from tests.support.system.running_system import System, kill_process
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

Samples = dict[tuple[str, ...], float]

PAUSED: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]
PLAIN_KEY, OPERATOR_KEY = new_api_key(), new_api_key()
KEYED = {
    "MAMBA_AUTH__MODE": "api_key",
    "MAMBA_AUTH__API_KEYS": (
        f'[{{"name":"plain","hash":"{hash_of(PLAIN_KEY)}"}},'
        f'{{"name":"operator","hash":"{hash_of(OPERATOR_KEY)}","scopes":["operator"]}}]'
    ),
}


async def read(url: str) -> Samples:
    """Each sample by its name and its label values, sorted by label name."""
    async with httpx.AsyncClient(timeout=30) as client:
        response = await client.get(f"{url}/metrics")
    assert response.status_code == 200, response.text
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def url_of(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def metrics_when(
    url: str, condition: Callable[[Samples], bool]
) -> Callable[[], Awaitable[Samples]]:
    """A probe that returns the metrics once they satisfy `condition`, else an empty dict."""

    async def probe() -> Samples:
        found = await read(url)
        return found if condition(found) else {}

    return probe


@pytest.mark.parametrize("public", [False, True])
async def test_metrics_require_the_operator_scope_unless_public(
    system: System,
    public: bool,  # noqa: FBT001
) -> None:
    api = Api(system.valkey.url, {**KEYED, "MAMBA_METRICS__PUBLIC": str(public)})
    try:
        await start_all(api)
        async with httpx.AsyncClient(base_url=api.url, timeout=30) as client:
            statuses = [
                (await client.get("/metrics", headers=headers)).status_code
                for headers in ({}, {"x-api-key": PLAIN_KEY}, {"x-api-key": OPERATOR_KEY})
            ]
    finally:
        await kill_process(api)

    assert statuses == ([200, 200, 200] if public else [401, 403, 200])


async def test_worker_counts_its_runs(workerless: System, sse: SseClient, name: str) -> None:
    await workerless.upstream.script(name, PAUSED)
    port = free_port()

    async with workerless.start_workers(1, WORKER__METRICS_PORT=port):
        async with sse.ask(workerless.chat, name, model=name) as stream:
            events = await stream.until("text-delta")
            during = await read(url_of(port))
            system_metrics = await until(
                metrics_when(
                    workerless.apis[0].url,
                    lambda found: (
                        found["mamba_workers_runs",] == found["mamba_stream_clients",] == 1
                    ),
                )
            )
            await workerless.upstream.release(name)
            events += await stream.rest()
        succeeded = ("mamba_runs_total", "chat", name, "succeeded")
        after = await until(metrics_when(url_of(port), lambda found: found.get(succeeded) == 1))

    check_whole(events)
    assert during["mamba_worker_runs",] == 1
    assert during["mamba_worker_slots",] == 256
    assert during["mamba_worker_draining",] == 0
    assert during["mamba_attempts_begun_total",] == 1
    assert system_metrics["mamba_queue_runs", "main", "running"] == 1
    assert system_metrics["mamba_runs_accepted_total", "chat"] >= 1
    assert after["mamba_run_wait_seconds_count", "main"] == 1
    assert after["mamba_run_first_token_seconds_count", "chat", name] == 1
    assert after["mamba_run_duration_seconds_count", "chat", name] == 1
    assert after["mamba_attempts_total", "ended"] == 1
    assert after["mamba_append_seconds_count",] >= 3
    assert after["mamba_tokens_total", "output", name] > 0
    assert "process_resident_memory_bytes" in {key[0] for key in after}


async def test_workers_on_one_host_use_different_metrics_ports(workerless: System) -> None:
    port = free_port()

    async with workerless.start_workers(2, WORKER__METRICS_PORT=port) as workers:
        assert all("metrics.listening" in worker.output for worker in workers)
        ports = {p for p in range(port, port + 16) for w in workers if f'"port": {p},' in w.output}
        assert len(ports) == 2
        for each in ports:
            assert (await read(url_of(each)))["mamba_worker_runs",] == 0


async def test_run_with_a_killed_worker_counts_two_attempts(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, PAUSED)
    port = free_port()

    async with (
        workerless.start_workers(1, WORKER__LEASE_SECONDS=1) as workers,
        sse.ask(workerless.chat, name, model=name) as stream,
    ):
        events = await stream.until("text-delta")
        workers[0].send(signal.SIGKILL)
        async with workerless.start_workers(1, WORKER__METRICS_PORT=port):
            await workerless.upstream.until(name, lambda requests: len(requests) == 2)
            await workerless.upstream.release(name)
            events += await stream.rest()
            after = await until(
                metrics_when(
                    url_of(port), lambda found: found["mamba_attempts_total", "ended"] == 1
                )
            )

    check_whole(events)
    assert after["mamba_attempts_begun_total",] == 1
    assert after["mamba_attempts_total", "crashed"] == 1
    assert ("mamba_run_wait_seconds_count", "main") not in after
    assert ("mamba_run_first_token_seconds_count", "chat", name) not in after


async def test_metrics_sum_all_processes_including_killed_ones(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, PAUSED)
    accepted = ("mamba_runs_accepted_total", "chat")

    async with api_processes(system) as api:
        chat = f"{api.url}/chat"
        async with (
            sse.ask(chat, f"{name}-1", model=name),
            sse.ask(chat, f"{name}-2", model=name),
        ):
            # The process of a stream can be suspended between its first byte and the count.
            await until(
                metrics_when(api.url, lambda found: found.get(("mamba_stream_clients",)) == 2)
            )
            for _ in range(10):
                found = await read(api.url)
                assert found[accepted] == 2
                assert found["mamba_stream_clients",] == 2
            for pid in pids(api):
                os.kill(pid, signal.SIGKILL)
            await until(lambda: started(api, 4))
            found = await until(
                metrics_when(api.url, lambda found: found.get(("mamba_stream_clients",), 0) == 0)
            )
        assert found[accepted] == 2
        assert found["mamba_queue_runs", "main", "running"] == 2
        await system.upstream.release(name)


async def test_missed_notifications_are_caught_up_without_gaps(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, [[{"words": 200}]])
    url = system.apis[0].url
    before = await read(url)

    check_whole(await sse.answer(system.chat, name, model=name))

    after = await read(url)
    caught_up = ("mamba_stream_catch_ups_total", "subscribed")
    assert after[caught_up] > before.get(caught_up, 0)
    assert after["mamba_stream_gaps_total",] == 0
    complete = ("mamba_streams_total", "complete")
    assert after[complete] > before.get(complete, 0)
