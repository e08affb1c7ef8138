"""`mamba probe`, the health check of the containers."""

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.fakes.proxy import Proxy
from tests.support.processes import Api, Valkey, Worker, start_all
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

NO_UPSTREAM = "http://127.0.0.1:9/v1"


class ProbeResult(NamedTuple):
    code: int
    error: str


async def probe(role: str, folder: Path, **settings: object) -> ProbeResult:
    """Run the probe in a container whose folder for temporary files is `folder`."""
    env = os.environ | {f"MAMBA_{name}": str(value) for name, value in settings.items()}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mamba", "probe", role),
        env={**env, "TMPDIR": str(folder)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await child.communicate()
    assert child.returncode is not None
    return ProbeResult(child.returncode, error.decode())


def worker_in(folder: Path, redis_url: str) -> Worker:
    return Worker(redis_url, NO_UPSTREAM, {"TMPDIR": str(folder)})


async def test_probe_succeeds_while_api_responds(valkey: Valkey, tmp_path: Path) -> None:
    api = Api(valkey.url, {"TMPDIR": str(tmp_path)})

    async def healthy() -> bool:
        return (await probe("api", tmp_path)).code == 0

    await start_all(api)
    try:
        await until(healthy)
        elsewhere = tmp_path / "other"
        elsewhere.mkdir()
        assert (await probe("api", elsewhere, SERVER__PORT=api.port)).code == 0
        assert (
            await probe("api", elsewhere, SERVER__PORT=api.port, SERVER__HOST="0.0.0.0")
        ).code == 0
    finally:
        await api.stop()
    assert (await probe("api", tmp_path, SERVER__PORT=api.port)).code == 1


async def test_probe_reports_a_worker_that_hangs(valkey: Valkey, tmp_path: Path) -> None:
    worker = worker_in(tmp_path, valkey.url)
    await start_all(worker)

    async def healthy() -> bool:
        return (await probe("worker", tmp_path)).code == 0

    async def hangs() -> str:
        return (await probe("worker", tmp_path)).error

    try:
        await until(healthy)
        worker.send(signal.SIGSTOP)
        error = await until(hangs, seconds=60)
    finally:
        await worker.stop()

    assert f"process id {worker.child.pid} hangs: it has sent no heartbeat for 2" in error
    assert "No worker has started" in (await probe("worker", tmp_path)).error


async def test_probe_reports_a_worker_that_was_killed(valkey: Valkey, tmp_path: Path) -> None:
    worker = worker_in(tmp_path, valkey.url)
    await start_all(worker)

    async def healthy() -> bool:
        return (await probe("worker", tmp_path)).code == 0

    await until(healthy)
    await worker.kill()
    await worker.stop()

    assert await probe("worker", tmp_path) == (1, "No worker has started in this container.\n")


async def test_worker_without_redis_does_not_start(tmp_path: Path) -> None:
    worker = worker_in(tmp_path, "redis://127.0.0.1:9/0").start()

    async def waits() -> bool:
        return "Waiting for Redis" in worker.output

    try:
        await until(waits, seconds=60)
        assert (await probe("worker", tmp_path)).code == 1
    finally:
        await worker.stop()


async def test_short_outage_of_redis_does_not_fail_the_probe(
    valkey: Valkey, tmp_path: Path
) -> None:
    async with Proxy(valkey.port) as proxy:
        worker = worker_in(tmp_path, f"redis://127.0.0.1:{proxy.port}/0")
        await start_all(worker)

        async def healthy() -> bool:
            return (await probe("worker", tmp_path)).code == 0

        try:
            await until(healthy)
            before = heartbeat_of(tmp_path, worker)
            proxy.freeze()

            async def beats_without_redis() -> bool:
                at, last_contact = heartbeat_of(tmp_path, worker)
                return at > before[0] + 5 and at > last_contact + 5

            await until(beats_without_redis, seconds=40)
            assert (await probe("worker", tmp_path)).code == 0
        finally:
            await worker.kill()
            await worker.stop()


def heartbeat_of(folder: Path, worker: Worker) -> tuple[float, float]:
    """Return the times of the last heartbeat and of the last contact with Redis."""
    path = folder / f"mamba-worker-{os.getuid()}" / str(worker.child.pid)
    at, last_contact, _ = path.read_text().split()
    return float(at), float(last_contact)


async def test_probe_costs_little(tmp_path: Path) -> None:
    costs: list[float] = []
    for _ in range(5):
        before = cpu_seconds_of_children()
        await probe("worker", tmp_path)
        costs.append(cpu_seconds_of_children() - before)

    assert min(costs) < 0.2


def cpu_seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
