"""One line a request, at its end: `request.finished`. A stream has one at its start too.

The route's template is logged, not the path: a chat's id holds its user's words. No header is.
"""

import logging
import re
import time
from collections.abc import Sequence
from typing import cast

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.monitoring.request_metrics import RequestOutcome, count_request
from shared.settings.live_settings import LiveSettings

log = structlog.stdlib.get_logger()

#: Asked every few seconds by the platform, for ever.
PROBES = ("/health", "/health/live", "/health/ready", "/metrics")
_BODY_CHARS = 16 * 1024
_DATA_URL = re.compile(r"(data:[\w.+/\\-]{0,100})[^\"\s]*")


class RequestLogMiddleware:
    """`live` says each time whether bodies are logged too (`logging.include_body`)."""

    def __init__(self, app: ASGIApp, live: LiveSettings) -> None:
        self._app = app
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        settings = self._live.now
        kept = settings.limits.body_bytes if settings.logging.include_body else 0
        exchange = _LoggedExchange(scope, receive, send, kept_bytes=kept)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        finally:
            exchange.tell_end()


class _LoggedExchange:
    """One request and its response, as they pass."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, kept_bytes: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._room = kept_bytes
        self._body: list[bytes] = []
        self._began = time.perf_counter()
        self._status = 0
        #: Until the response began.
        self._seconds: float | None = None
        self._streams = False
        self._sent_bytes = 0
        self._ended = False
        self._client_gone = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._client_gone = self._client_gone or not self._ended
        elif self._room:
            self._keep(message.get("body", b""), whole=not message.get("more_body", False))
        return message

    async def send(self, message: Message) -> None:
        # Before it goes out: a client that has its whole answer finds it in the log.
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._seconds = time.perf_counter() - self._began
            self._streams = is_stream(message["headers"])
            if self._streams:
                log.info("stream.opened", **self._facts())
        elif not message.get("more_body", False):
            self._ended = True
        self._sent_bytes += len(message.get("body", b""))
        await self._send(message)

    def tell_end(self) -> None:
        self._count()
        probe = self._route in PROBES and self._status < 400
        level = logging.DEBUG if probe else logging.INFO
        facts = {**self._facts(), "bytes": self._sent_bytes, "outcome": self._outcome}
        log.log(level, "request.finished", **facts)

    def _count(self) -> None:
        stream = self._outcome if self._streams else None
        count_request(
            RequestOutcome(self._scope["method"], self._route, self._status, self._seconds, stream)
        )

    def _facts(self) -> dict[str, object]:
        return {
            "method": self._scope["method"],
            "route": self._route,
            "status": self._status or None,
            "duration_ms": round((time.perf_counter() - self._began) * 1000, 1),
        }

    @property
    def _route(self) -> str | None:
        return route_of(self._scope)

    @property
    def _outcome(self) -> str:
        if self._ended:
            return "complete"
        return "client_gone" if self._client_gone else "cut"

    def _keep(self, chunk: bytes, *, whole: bool) -> None:
        self._body.append(chunk[: self._room])
        self._room -= len(self._body[-1])
        if whole or not self._room:
            self._room = 0
            text = b"".join(self._body).decode(errors="replace")
            log.info("request.body", body=_shortened(text))
            self._body.clear()


def route_of(scope: Scope) -> str | None:
    """The template of the route that took the request; none did where it is None."""
    route = cast("object", scope.get("route"))
    return getattr(route, "path_format", None) or getattr(route, "path", None)


def is_stream(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    kinds = (value for name, value in headers if name.lower() == b"content-type")
    return any(kind.startswith(b"text/event-stream") for kind in kinds)


def _shortened(body: str) -> str:
    text = _DATA_URL.sub(r"\1…", body)
    return text if len(text) <= _BODY_CHARS else f"{text[:_BODY_CHARS]}…"
