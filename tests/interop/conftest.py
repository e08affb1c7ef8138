"""Fixtures of the tests with other programs (`make interop`), which must be installed."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.interop.reverse_proxies import CaddyProxy, NginxProxy, ReverseProxy
from tests.support.processes import Api, Valkey, Worker, start_all, stop_all
from tests.support.upstream.client import Upstream
from web.page import CONSOLE

HEARTBEAT_SECONDS = 0.5


@dataclass
class InteropSystem:
    upstream: Upstream
    api: Api


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system() -> AsyncGenerator[InteropSystem]:
    """An API and a worker with a scripted upstream."""
    CONSOLE.build()
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(Upstream())
        valkey = Valkey()
        stack.push_async_callback(stop_all, valkey)
        await start_all(valkey)
        api = Api(valkey.url, {"MAMBA_SERVER__HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS)})
        # A worker that gets no processor time for some seconds keeps its leases.
        worker = Worker(valkey.url, upstream.base_url, {"MAMBA_WORKER__LEASE_SECONDS": "60"})
        stack.push_async_callback(stop_all, api, worker)
        for process in (api, worker):
            await start_all(process)
        yield InteropSystem(upstream, api)


@pytest_asyncio.fixture(
    scope="session", loop_scope="session", params=[NginxProxy, CaddyProxy], ids=["nginx", "caddy"]
)
async def proxy(
    request: pytest.FixtureRequest,
    system: InteropSystem,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator[ReverseProxy]:
    kind: type[ReverseProxy] = request.param
    proxy = kind(tmp_path_factory.mktemp("proxy"), system.api.port)
    proxy.start()
    try:
        yield await proxy.ready()
    finally:
        await proxy.stop()
