"""Settings that change in an API and a worker during a run."""

import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.queue.pauses import Pauses
from shared.redis import keys
from shared.redis.client import Redis
from tests.support.processes import Api, ServerProcess, Worker, start_all
from tests.support.sse_client import Json, SseClient, check_whole, text
from tests.support.system.running_system import System, kill_process
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]
TWO_MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "user", "content": "there"}]


@asynccontextmanager
async def start_pair(system: System, home: Path) -> AsyncGenerator[tuple[Api, Worker]]:
    """An API and a worker that read `mamba.env` in `home`."""
    api = Api(system.valkey.url, {"HOME": str(home)})
    worker = Worker(system.valkey.url, system.upstream.base_url, {"HOME": str(home)})
    try:
        await start_all(api, worker)
        yield api, worker
    finally:
        for process in (api, worker):
            await kill_process(process)


async def wait_for_log(process: ServerProcess, event: str, *, times: int = 1) -> None:
    async def probe() -> bool:
        assert process.child.poll() is None, process.output
        return process.output.count(event) >= times

    await until(probe)


async def wait_for_weight(redis: Redis, run_id: str, weight: float) -> None:
    async def probe() -> bool:
        found = await redis.execute_command("HGET", keys.fair_job(run_id), "weight")
        return float(found) == weight

    await until(probe)


async def test_changed_file_takes_effect_during_a_stream(
    workerless: System, sse: SseClient, name: str, tmp_path: Path
) -> None:
    await workerless.upstream.script(name, SCRIPT)
    later, failures = f"{name}-later", [{"status": 500}] * 2
    await workerless.upstream.script(later, [[{"text": ["never"]}]], failures)
    file = tmp_path / "mamba.env"

    async with start_pair(workerless, tmp_path) as (api, worker):
        chat = f"{api.url}/chat"
        async with sse.ask(chat, name, model=name) as stream:
            events = await stream.until("text-delta")
            file.write_text(
                "MAMBA_LIMITS__MESSAGES=1\nMAMBA_LOGGING__LEVEL=WARNING\n"
                "MAMBA_LOGGING__FORMAT=console\nMAMBA_RUN__MAX_RETRIES=0\n"
            )
            await wait_for_log(api, "settings.reloaded")
            await wait_for_log(worker, "settings.reloaded")
            assert (await sse.post(chat, f"{name}-two", messages=TWO_MESSAGES)).status_code == 413
            attempts = worker.output.count("run.attempt")
            failed = await sse.answer(chat, later, model=later)
            assert failed[-2].chunk["type"] == "error"
            await workerless.upstream.release(name)
            events += await stream.rest()

        assert worker.output.count("run.attempt") == attempts
        assert not api.output.splitlines()[-1].startswith("{")

    check_whole(events)
    assert text(events) == "Hello"
    assert (await workerless.run(stream.run_id))["attempts"] == "1"
    assert (await workerless.run(failed[0].run_id))["attempts"] == "1"


async def test_changed_weight_applies_to_waiting_and_new_runs(
    workerless: System, sse: SseClient, name: str, tmp_path: Path
) -> None:
    async with start_pair(workerless, tmp_path) as (api, _), workerless.redis() as redis:
        await Pauses(redis).begin("processing", None, operator="cli:web-1:ann")
        async with sse.ask(f"{api.url}/chat", name) as first:
            weights = '{"none::anonymous": 4}'
            (tmp_path / "mamba.env").write_text(f"MAMBA_QUEUE__WEIGHTS={weights}\n")
            await wait_for_log(api, "settings.reloaded")
            async with sse.ask(f"{api.url}/chat", f"{name}-next") as second:
                for stream in (first, second):
                    await wait_for_weight(redis, stream.run_id, 4)


async def test_sighup_reloads_and_invalid_settings_are_rejected(
    workerless: System, sse: SseClient, name: str, tmp_path: Path
) -> None:
    await workerless.upstream.script(name, SCRIPT)
    file = tmp_path / "mamba.env"
    file.write_text("MAMBA_LIMITS__MESSAGES=1\n")

    async with start_pair(workerless, tmp_path) as (api, worker):
        chat = f"{api.url}/chat"
        async with sse.ask(chat, name, model=name) as stream:
            events = await stream.until("text-delta")
            for process in (api, worker):
                process.send(signal.SIGHUP)
                await wait_for_log(process, "settings.reloaded")
            file.write_text("MAMBA_LIMITS__MESAGES=2\nMAMBA_SERVER__PORT=many\n")
            for process in (api, worker):
                process.send(signal.SIGHUP)
                await wait_for_log(process, "settings.refused")
                assert "did you mean MAMBA_LIMITS__MESSAGES?" in process.output
            assert (await sse.post(chat, f"{name}-two", messages=TWO_MESSAGES)).status_code == 413
            await workerless.upstream.release(name)
            events += await stream.rest()

    check_whole(events)
    assert text(events) == "Hello"
