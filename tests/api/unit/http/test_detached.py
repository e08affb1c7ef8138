"""Streams are sent after their route has returned."""

import gc
import weakref
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from starlette.middleware import Middleware
from starlette.types import Receive, Scope, Send

from api.http.detached import DetachedResponse, DetachedResponseMiddleware, on_end


class Released:
    """An object of the route."""


class NotedStream(DetachedResponse):
    """Sends the calls before it, and the keys of its scope."""

    def __init__(self, calls: list[str], released: Released | None = None) -> None:
        super().__init__(None, 200, headers={"x-stream": "1"})
        del self.headers["content-length"]
        self._calls = calls
        self._released = released and weakref.ref(released)

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await self.send_start(send)
        gc.collect()
        if self._released and self._released() is None:
            self._calls.append("route released")
        self._calls.append("stream")
        assert not [name for name in scope if "fastapi" in name or "mamba" in name]
        if self._calls[0] == "fail":
            raise RuntimeError
        body = scope["route"].path_format.encode()
        await send({"type": "http.response.body", "body": body})


def app_with(calls: list[str]) -> FastAPI:
    app = FastAPI(middleware=[Middleware(DetachedResponseMiddleware)])

    def note_end(request: Request) -> None:
        on_end(request.scope, lambda: calls.append("end"))

    @app.get("/stream/{name}", dependencies=[Depends(note_end)])
    async def stream(request: Request) -> Any:
        request.scope["released"] = released = Released()
        return NotedStream(calls, released)

    @app.get("/plain", dependencies=[Depends(note_end)])
    async def plain() -> str:
        return "plain"

    @app.get("/error", dependencies=[Depends(note_end)])
    async def error() -> str:
        raise RuntimeError

    return app


async def get(calls: list[str], path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app_with(calls))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path)


async def test_stream_is_sent_after_its_route_is_released() -> None:
    calls = ["request"]
    response = await get(calls, "/stream/a")

    assert response.text == "/stream/{name}"
    assert response.headers["x-stream"] == "1"
    assert calls == ["request", "route released", "stream", "end"]


async def test_other_responses_end_as_usual() -> None:
    calls: list[str] = []

    assert (await get(calls, "/plain")).json() == "plain"
    assert calls == ["end"]


@pytest.mark.parametrize("path", ["/error", "/stream/a"])
async def test_callbacks_run_after_an_error(path: str) -> None:
    calls = ["fail"]
    with pytest.raises(RuntimeError):
        await get(calls, path)

    assert calls[-1] == "end"
