"""Limits of a connection: a request's head, a refused body, unread responses, and open files."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from typing import ClassVar, cast

import pytest
import uvicorn
from prometheus_client import REGISTRY
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from api.http import connection
from api.http.connection import LimitedHttpProtocol
from tests.support.processes import free_port
from tests.support.wait import until

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


#: Shorter than the response `/slow`.
KEEP_ALIVE_SECONDS = 1.0
endless_ended = asyncio.Event()


class ShortLimits(LimitedHttpProtocol):
    max_head_bytes = 4096
    head_timeout_seconds = 0.5
    rest_timeout_seconds = 1.0
    write_timeout_seconds = 1.0
    newest: ClassVar["ShortLimits"]

    @property
    def unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        ShortLimits.newest = self
        self.lost = asyncio.Event()
        connected = transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    responses: dict[str, Response] = {
        "/slow": StreamingResponse(slow_body()),
        "/endless": StreamingResponse(endless_body()),
        "/large": PlainTextResponse(b"." * 2**18),
    }
    await responses.get(scope["path"], PlainTextResponse("Hi"))(scope, receive, send)


async def slow_body() -> AsyncGenerator[bytes]:
    """Yield for longer than the limit for a head."""
    for _ in range(5):
        await asyncio.sleep(ShortLimits.head_timeout_seconds / 2)
        yield b"."


async def endless_body() -> AsyncGenerator[bytes]:
    try:
        while True:
            yield b"." * 65_536
            await asyncio.sleep(0)  # sending to a closed connection does not suspend
    finally:
        endless_ended.set()


@pytest.fixture
async def port() -> AsyncGenerator[int]:
    port = free_port()
    config = uvicorn.Config(
        app,
        port=port,
        http=ShortLimits,
        lifespan="off",
        log_config=None,
        timeout_keep_alive=cast("int", KEEP_ALIVE_SECONDS),
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await until(started)
    yield port
    server.should_exit = True
    await serving


async def exchange(port: int, *chunks: bytes) -> bytes:
    """Send the chunks, and return everything received until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "head",
    [
        REQUEST + b"x: " + b"a" * 10_000,
        REQUEST + b"x: y\r\n" * 2_000,
        b"GET /" + b"a" * 10_000,
        REQUEST + b"a" * 10_000,
        REQUEST + b"x: " + b"a" * 10_000 + b"\r\n\r\n",
    ],
    ids=["long header value", "many headers", "long path", "long header name", "complete head"],
)
async def test_too_large_head_returns_431(port: int, head: bytes) -> None:
    assert (await exchange(port, head)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "head", [b"", b"G", REQUEST], ids=["nothing", "one byte", "incomplete head"]
)
async def test_incomplete_head_returns_408(port: int, head: bytes) -> None:
    assert (await exchange(port, head)).startswith(b"HTTP/1.1 408 ")


async def test_second_head_on_a_connection_is_limited_too(port: int) -> None:
    responses = await exchange(port, REQUEST + b"\r\n" + REQUEST)

    assert responses.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in responses


async def test_slow_response_is_not_limited(port: int) -> None:
    slow = b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    assert (await exchange(port, slow)).endswith(b"0\r\n\r\n")


async def test_head_below_the_limit_is_accepted(port: int) -> None:
    head = REQUEST + b"Connection: close\r\nx: " + b"a" * 3_000 + b"\r\n\r\n"

    assert (await exchange(port, head)).startswith(b"HTTP/1.1 200 ")


UPLOAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


async def test_slow_rest_of_an_answered_request_is_not_awaited(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send_slowly() -> None:
        while True:
            writer.write(b".")
            await asyncio.sleep(ShortLimits.rest_timeout_seconds / 10)

    writer.write(UPLOAD)
    sending = asyncio.create_task(send_slowly())
    try:
        received = await asyncio.wait_for(reader.read(), 30)
    finally:
        sending.cancel()
        writer.close()

    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b"Hi")


async def test_connection_is_kept_if_the_rest_arrives_in_time(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(UPLOAD + b"." * 500)
    await asyncio.wait_for(reader.readuntil(b"Hi"), 30)

    writer.write(b"." * 500 + REQUEST + b"Connection: close\r\n\r\n")
    second = await asyncio.wait_for(reader.read(), 30)
    writer.close()

    assert second.startswith(b"HTTP/1.1 200 ")


async def test_rest_of_a_body_does_not_end_the_next_response(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(UPLOAD + b"." * 500)
    await asyncio.wait_for(reader.readuntil(b"Hi"), 30)

    slow = REQUEST.replace(b"GET /", b"GET /slow")
    writer.write(b"." * 500 + slow + b"Connection: close\r\n\r\n")
    second = await asyncio.wait_for(reader.read(), 30)
    writer.close()

    assert second.endswith(b"0\r\n\r\n")


async def test_client_that_reads_nothing_is_disconnected(port: int) -> None:
    endless_ended.clear()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")

        await asyncio.wait_for(endless_ended.wait(), 30)


async def test_client_that_stops_reading_at_the_end_is_disconnected(port: int) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0)
        await loop.sock_connect(client, ("127.0.0.1", port))
        request = b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        await loop.sock_sendall(client, request)
        await loop.sock_recv(client, 1024)
        while ShortLimits.newest.unsent_bytes > 16_000:  # writing resumes at 16,384
            await loop.sock_recv(client, 1024)

        await asyncio.wait_for(ShortLimits.newest.lost.wait(), 30)


async def test_slow_reader_is_not_disconnected(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
    received = 0
    for _ in range(8):
        await asyncio.sleep(ShortLimits.write_timeout_seconds / 4)
        received += len(await reader.readexactly(2**20))

    assert received == 8 * 2**20
    writer.close()


async def test_connections_share_the_keys_of_their_attributes(port: int) -> None:
    await exchange(port, REQUEST + b"Connection: close\r\n\r\n")

    attributes = {*vars(ShortLimits.newest)} - {"lost"}
    assert len(attributes) <= 30, "Python then allocates a larger dictionary for each connection"


async def test_connection_near_the_file_limit_is_logged_once(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "open_file_limit", lambda: 3)
    monkeypatch.setattr(LimitedHttpProtocol, "_next_log", 0.0)
    counted = metric_value("mamba_connections_near_limit_total")

    with capture_logs() as logs:
        for _ in range(2):
            await exchange(port, REQUEST + b"Connection: close\r\n\r\n")

    [line] = [line for line in logs if line["event"] == "api.files_near_limit"]
    assert line["open"] >= line["limit"] == 3
    assert metric_value("mamba_connections_near_limit_total") == counted + 2


def metric_value(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0
