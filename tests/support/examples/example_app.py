"""An example as a running process, and the deployment of Mamba that it uses."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import httpx

from tests.support.examples.documented_files import EXAMPLES
from tests.support.processes import (
    Api,
    ServerProcess,
    Valkey,
    Worker,
    free_port,
    start_all,
    stop_all,
)
from tests.support.system.running_system import System, kill_process
from tests.support.upstream.client import Upstream
from tests.support.wait import until
from web.client import build_client
from web.node import find_node


class ExampleServer(ServerProcess):
    """A program of the example's packages, such as `vite/bin/vite.js`, that serves its pages.

    It runs in the folder of the example, and `npm ci` has installed its packages.
    """

    def __init__(
        self, example: str, program: str, *arguments: str, port: int, env: Mapping[str, str]
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        path = EXAMPLES / example / "node_modules" / program
        super().__init__(str(find_node().path), str(path), *arguments, env=env)

    async def ready(self) -> None:
        async with httpx.AsyncClient() as client:

            async def probe() -> bool:
                assert self.child.poll() is None, self.output
                try:
                    return (await client.get(self.url)).status_code < 500
                except httpx.TransportError:
                    return False

            await until(probe, seconds=90)


def install_example(example: str) -> None:
    """Build the client package, and install the packages of an example in `examples/`."""
    build_client()
    find_node().install(EXAMPLES / example)


@asynccontextmanager
async def open_example(server: ExampleServer) -> AsyncGenerator[ExampleServer]:
    server.start()
    try:
        await server.ready()
        yield server
    finally:
        await kill_process(server)


@asynccontextmanager
async def open_vite_example(example: str, api_url: str) -> AsyncGenerator[ExampleServer]:
    """Install an example, and serve it with Vite, which forwards requests to the API."""
    install_example(example)
    port = free_port()
    options = ("--host", "127.0.0.1", "--port", str(port), "--strictPort")
    arguments = (str(EXAMPLES / example), *options)
    env = {"MAMBA_URL": api_url}
    server = ExampleServer(example, "vite/bin/vite.js", *arguments, port=port, env=env)
    async with open_example(server):
        yield server


@asynccontextmanager
async def open_backend(upstream: Upstream, env: Mapping[str, str]) -> AsyncGenerator[System]:
    """Start an API and a worker with these variables."""
    async with AsyncExitStack() as stack:
        valkey = Valkey()
        stack.push_async_callback(stop_all, valkey)
        await start_all(valkey)
        api, worker = Api(valkey.url, env), Worker(valkey.url, upstream.base_url, env)
        stack.push_async_callback(stop_all, api, worker)
        await start_all(api, worker)
        yield System(valkey, upstream, [api], [worker])
