"""Limits on the time and size of a request's head."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
import uvicorn
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.http.connection import RequestHeadLimitProtocol
from tests.support.processes import free_port
from tests.support.wait import until

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


class ShortLimits(RequestHeadLimitProtocol):
    max_head_bytes = 4096
    head_timeout_seconds = 0.2


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    response = (
        StreamingResponse(slow_body()) if scope["path"] == "/slow" else PlainTextResponse("Hi")
    )
    await response(scope, receive, send)


async def slow_body() -> AsyncGenerator[bytes]:
    """Yield for longer than the limit for a head."""
    for _ in range(5):
        await asyncio.sleep(ShortLimits.head_timeout_seconds / 2)
        yield b"."


@pytest.fixture
async def port() -> AsyncGenerator[int]:
    port = free_port()
    config = uvicorn.Config(app, port=port, http=ShortLimits, lifespan="off", log_config=None)
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
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "head",
    [
        REQUEST + b"x: " + b"a" * 10_000,
        REQUEST + b"x: y\r\n" * 2_000,
        b"GET /" + b"a" * 10_000,
        REQUEST + b"a" * 10_000,
    ],
    ids=["long header value", "many headers", "long path", "long header name"],
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
