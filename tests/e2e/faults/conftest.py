from collections.abc import AsyncGenerator
from pathlib import Path

import pytest_asyncio

from tests.support.processes import Api, Valkey, start_all
from tests.support.system.running_system import System, kill_process
from tests.support.upstream.client import Upstream


@pytest_asyncio.fixture(loop_scope="session")
async def durable(upstream: Upstream, tmp_path: Path) -> AsyncGenerator[System]:
    """An API and a worker with a Valkey that persists its data."""
    valkey = Valkey(data=tmp_path)
    await start_all(valkey)
    api = Api(valkey.url, {"MAMBA_SERVER__HEARTBEAT_SECONDS": "0.2"})
    system = System(valkey, upstream, [api])
    try:
        api.start()
        async with system.start_workers(WORKER__DRAIN_SECONDS=1) as system.workers:
            await api.ready()
            yield system
    finally:
        await kill_process(api)
        await kill_process(valkey)
