"""Each request is one log line without message content."""

import json
import logging
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI, Request
from starlette.middleware import Middleware
from starlette.responses import StreamingResponse
from starlette.types import Message

from api.http.request_log import RequestLogMiddleware
from shared.settings import LoggingSettings, Settings
from shared.settings.live_settings import LiveSettings

Lines = list[MutableMapping[str, Any]]

BODIES = Settings(logging=LoggingSettings(include_body=True))
SECRET = "marker-of-a-secret"


class LoggedApp:
    def __init__(self) -> None:
        self.live = LiveSettings(Settings())
        self.app = FastAPI(middleware=[Middleware(RequestLogMiddleware, self.live)])
        self.app.add_api_route("/chat/{chat_id:path}/stream", self._stream)
        self.app.add_api_route("/chat", self._post, methods=["POST"])
        self.app.add_api_route("/health/live", self._live)
        self.app.add_api_route("/broken", self._break)
        self.app.add_api_route("/cut", self._cut)

    async def _stream(self, chat_id: str) -> StreamingResponse:
        async def events() -> AsyncGenerator[bytes]:
            yield b"data: one\n\n"
            yield f"data: {chat_id}\n\n".encode()

        return StreamingResponse(events(), media_type="text/event-stream")

    async def _post(self, request: Request) -> int:
        return len(await request.body())

    async def _live(self) -> str:
        return "ok"

    async def _break(self) -> None:
        raise ValueError(SECRET)

    async def _cut(self) -> StreamingResponse:
        async def parts() -> AsyncGenerator[bytes]:
            yield b"one"
            raise ValueError(SECRET)

        return StreamingResponse(parts())


@pytest.fixture
def logged_app() -> LoggedApp:
    return LoggedApp()


@pytest.fixture
async def client(logged_app: LoggedApp) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(logged_app.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    capture = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(
        logging.getLogger("test"),
        processors=[capture],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    logging.getLogger("test").setLevel(logging.DEBUG)
    monkeypatch.setattr("api.http.request_log.log", logger)
    return capture.entries


async def test_finished_request_is_one_log_line(client: httpx.AsyncClient, lines: Lines) -> None:
    await client.post("/chat", content=b"{}", headers={"authorization": SECRET})

    [line] = lines
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "request.finished",
        "message": "Request finished",
        "log_level": "info",
        "method": "POST",
        "route": "/chat",
        "status": 200,
        "bytes": 1,
        "outcome": "complete",
    }


async def test_route_template_is_logged_instead_of_the_path(
    client: httpx.AsyncClient, lines: Lines
) -> None:
    await client.get(f"/chat/{SECRET}/stream")
    await client.get(f"/nowhere/{SECRET}")

    assert [(line["event"], line["route"]) for line in lines] == [
        ("stream.opened", "/chat/{chat_id}/stream"),
        ("request.finished", "/chat/{chat_id}/stream"),
        ("request.finished", None),
    ]
    assert SECRET not in str(lines)


async def test_successful_probe_is_logged_at_debug(client: httpx.AsyncClient, lines: Lines) -> None:
    await client.get("/health/live")
    await client.post("/health/live")

    assert [(line["status"], line["log_level"]) for line in lines] == [
        (200, "debug"),
        (405, "info"),
    ]


async def test_only_successful_requests_of_quiet_routes_are_debug(
    logged_app: LoggedApp, client: httpx.AsyncClient, lines: Lines
) -> None:
    quiet = LoggingSettings(quiet_routes=("POST /chat", "GET /broken", "GET /cut"))
    logged_app.live.replace(Settings(logging=quiet))

    await client.post("/chat", content=b"{}")
    await client.get("/chat")
    await client.get("/broken")
    await client.get("/cut")

    assert [(line["status"], line["log_level"]) for line in lines] == [
        (200, "debug"),
        (405, "info"),
        (None, "info"),
        (200, "info"),
    ]


async def test_failed_request_is_logged(client: httpx.AsyncClient, lines: Lines) -> None:
    await client.get("/broken")

    assert lines[-1]["event"] == "request.finished"
    assert SECRET not in str(lines)


async def test_outcome_distinguishes_client_gone_from_cut(
    logged_app: LoggedApp, lines: Lines
) -> None:
    async def discard(message: Message) -> None: ...

    async def incomplete_app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        if scope["path"] == "/gone":
            await receive()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    for path in ("/gone", "/cut"):
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "headers": []}
        await RequestLogMiddleware(incomplete_app, logged_app.live)(scope, receive, discard)

    assert [line["outcome"] for line in lines] == ["client_gone", "cut"]


async def test_bodies_are_logged_only_if_enabled(
    logged_app: LoggedApp, client: httpx.AsyncClient, lines: Lines
) -> None:
    await client.post("/chat", content=SECRET)
    assert SECRET not in str(lines)

    logged_app.live.replace(BODIES)
    await client.post("/chat", content=SECRET, headers={"cookie": "c00kie", "x-api-key": "k3y"})

    bodies = [line["body"] for line in lines if line["event"] == "request.body"]
    assert bodies == [SECRET]
    assert "c00kie" not in str(lines)
    assert "k3y" not in str(lines)

    logged_app.live.replace(Settings())
    lines.clear()
    await client.post("/chat", content=SECRET)
    assert SECRET not in str(lines)


async def test_logged_body_is_truncated_without_file_content(
    logged_app: LoggedApp, client: httpx.AsyncClient, lines: Lines
) -> None:
    logged_app.live.replace(BODIES)
    image = "data:image/png;base64," + "QUJD" * 100_000
    await client.post("/chat", content=json.dumps({"url": image, "text": "after it"}))
    await client.post("/chat", content=b"x" * 100_000)

    first, second = (line["body"] for line in lines if line["event"] == "request.body")
    assert json.loads(first) == {"url": "data:image/png…", "text": "after it"}
    assert second == "x" * 16 * 1024 + "…"


async def test_chunked_body_is_one_log_line(
    logged_app: LoggedApp, client: httpx.AsyncClient, lines: Lines
) -> None:
    logged_app.live.replace(BODIES)

    async def chunks() -> AsyncGenerator[bytes]:
        for _ in range(3):
            yield b"ab"

    response = await client.post("/chat", content=chunks())

    assert response.json() == 6
    assert [line["body"] for line in lines if line["event"] == "request.body"] == ["ababab"]
