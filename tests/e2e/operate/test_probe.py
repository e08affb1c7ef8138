"""`mamba probe`, the health check of the containers."""

import asyncio
import os
import signal
import sys

import pytest

from tests.support.processes import ROOT, Api, Valkey, Worker, free_port, start_all
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def probe(role: str, **settings: object) -> int:
    """Return the exit code."""
    env = os.environ | {f"MAMBA_{name}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "mamba", "probe", role]
    child = await asyncio.create_subprocess_exec(*command, env=env, cwd=ROOT)
    return await child.wait()


async def test_probe_succeeds_while_api_responds(valkey: Valkey) -> None:
    api = Api(valkey.url)
    await start_all(api)
    try:
        assert await probe("api", SERVER__PORT=api.port) == 0
        assert await probe("api", SERVER__PORT=api.port, SERVER__HOST="0.0.0.0") == 0
    finally:
        await api.stop()
    assert await probe("api", SERVER__PORT=api.port) == 1


async def test_probe_fails_after_worker_record_expires(valkey: Valkey) -> None:
    worker = Worker(valkey.url, "http://127.0.0.1:9/v1")
    await start_all(worker)
    try:
        await until(lambda: is_healthy(valkey))
        worker.send(signal.SIGSTOP)
        await until(lambda: is_unhealthy(valkey), seconds=20)
    finally:
        await worker.stop()


async def is_healthy(valkey: Valkey) -> bool:
    return await probe("worker", REDIS__URL=valkey.url) == 0


async def is_unhealthy(valkey: Valkey) -> bool:
    return not await is_healthy(valkey)


async def test_probe_succeeds_while_redis_is_unreachable() -> None:
    assert await probe("worker", REDIS__URL=f"redis://127.0.0.1:{free_port()}/0") == 0
