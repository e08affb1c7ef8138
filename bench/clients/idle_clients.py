"""Measures what clients cost an API process while they wait for an answer: memory and CPU time.

Run it with `python -m bench.clients.idle_clients`. There is no worker, so all runs wait. For
comparison, it measures a bare Starlette application with the same server.
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from bench.measurements import cpu_seconds
from bench.table import Row, at_most, single
from tests.support.processes import Api, ServerProcess, Valkey, start_all, stop_all

CLIENTS = (1000, 3000)
SECONDS = 10.0
_CONNECTING = 50
UNLIMITED = {"MAMBA_LIMITS__STREAMS": "0"}


class IdleCost(NamedTuple):
    """The cost of one client: memory in KiB, and the share of a core."""

    kib: float
    cpu: float


class BareServer(Api):
    """Starlette's own response, in the same server."""

    def __init__(self) -> None:
        super().__init__("redis://unused")
        self._command = (sys.executable, "-m", "bench.clients.idle_clients", "bare")

    def start(self) -> Self:
        ServerProcess.start(self)  # it is no `mamba` command
        return self


async def idle_clients(api: Api, count: int) -> IdleCost:
    """Connect clients that each wait for their own run, and measure while they wait."""
    pid = api.child.pid
    warm = await _connect(api.url, f"warm-{pid}", 100)
    memory = resident_kib(pid)
    writers = await _connect(api.url, f"idle-{pid}", count)
    await asyncio.sleep(3)
    used = cpu_seconds((pid,))
    await asyncio.sleep(SECONDS)
    cpu = (cpu_seconds((pid,)) - used) / SECONDS
    kib = (resident_kib(pid) - memory) / count
    for writer in (*warm, *writers):
        writer.close()
    return IdleCost(kib, cpu / count)


def resident_kib(pid: int) -> int:
    return (
        int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024
    )


async def _connect(url: str, name: str, count: int) -> list[asyncio.StreamWriter]:
    slots = asyncio.Semaphore(_CONNECTING)

    async def one(number: int) -> asyncio.StreamWriter:
        async with slots:
            return await _send(url, f"{name}-{number}")

    return await asyncio.gather(*map(one, range(count)))


async def _send(url: str, chat: str) -> asyncio.StreamWriter:
    """Send a message, and return when the stream is open."""
    parts = urlsplit(url)
    body = b'{"id":"%b","messages":[{"role":"user","content":"Hi"}]}' % chat.encode()
    head = (
        f"POST /chat HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(head.encode() + body)
    await reader.readuntil(b": stream-open")
    return writer


async def idle() -> list[Row]:
    """Measure the most clients, and a bare server for comparison."""
    count = CLIENTS[-1]
    async with _open_valkey() as valkey:
        cost = await _measure(Api(valkey.url, UNLIMITED), count)
    bare = await _measure(BareServer(), count)
    title = f"memory of an idle client, {count:,} clients"
    return [
        single(title, cost.kib, at_most(25, "KiB")),
        single(f"{title}, bare Starlette", bare.kib, unit="KiB"),
    ]


async def main() -> None:
    async with _open_valkey() as valkey:
        servers: dict[str, Callable[[], Api]] = {
            "Mamba": lambda: Api(valkey.url, UNLIMITED),
            "bare Starlette": BareServer,
        }
        for name, new_server in servers.items():
            for count in CLIENTS:
                cost = await _measure(new_server(), count)
                print(
                    f"{name:15} {count:5} idle clients: {cost.kib:5.1f} KiB each,"
                    f" {cost.cpu * count:6.2%} of a core in total",
                    flush=True,
                )


async def _measure(server: Api, count: int) -> IdleCost:
    try:
        await start_all(server)
        return await idle_clients(server, count)
    finally:
        await stop_all(server)


@asynccontextmanager
async def _open_valkey() -> AsyncGenerator[Valkey]:
    valkey = Valkey()
    try:
        await start_all(valkey)
        yield valkey
    finally:
        await stop_all(valkey)


async def _stream(request: Request) -> StreamingResponse:
    await request.body()

    async def events() -> AsyncGenerator[bytes]:
        yield b": stream-open\n\n"
        while True:
            await asyncio.sleep(15)
            yield b": keep-alive\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def _ready(_: Request) -> StreamingResponse:
    return StreamingResponse(iter([b"ok"]))


if __name__ == "__main__":
    if sys.argv[1:] == ["bare"]:
        routes = [Route("/chat", _stream, methods=["POST"]), Route("/health/ready", _ready)]
        port = int(os.environ["MAMBA_SERVER__PORT"])
        uvicorn.run(Starlette(routes=routes), port=port, http="httptools", log_level=30)
    else:
        uvloop.run(main())
