"""Logs `request.finished` when a request ends, and `stream.opened` when a stream starts.

Logs contain no headers, and the route's path template instead of the path.
"""

import logging
import re
import time
from collections.abc import Collection, Iterable

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.exchange import PROBE_ROUTES, Exchange, is_event_stream
from api.monitoring.request_metrics import RequestOutcome, count_request
from shared.settings.live_settings import LiveSettings

log = structlog.stdlib.get_logger()

_MAX_BODY_CHARS = 16 * 1024
_DATA_URL = re.compile(r"(data:[\w.+/\\-]{0,100})[^\"\s]*")


class RequestLogMiddleware:
    """Logs each request, and its body while `logging.include_body` is on."""

    def __init__(self, app: ASGIApp, live: LiveSettings) -> None:
        self._app = app
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        settings = self._live.now
        max_body = settings.limits.body_bytes if settings.logging.include_body else 0
        exchange = _LoggedExchange(
            scope,
            receive,
            send,
            max_body_bytes=max_body,
            quiet_routes=settings.logging.quiet_routes,
        )
        try:
            await self._app(scope, exchange.receive, exchange.send)
        finally:
            exchange.finish()


class _LoggedExchange(Exchange):
    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        max_body_bytes: int,
        quiet_routes: Collection[str],
    ) -> None:
        super().__init__(scope, receive, send)
        self._quiet_routes = quiet_routes
        self._body_room = max_body_bytes
        self._body: list[bytes] = []
        self._started_at = time.perf_counter()
        self._status = 0
        self._seconds_to_response: float | None = None
        self._is_stream = False

    def on_response_start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._status = status
        self._seconds_to_response = self._elapsed
        self._is_stream = is_event_stream(headers)
        if self._is_stream:
            log.info("stream.opened", message="Event stream opened", **self._fields())

    def finish(self) -> None:
        stream = self.outcome if self._is_stream else None
        method, route, status = self.scope["method"], self.route, self._status
        count_request(RequestOutcome(method, route, status, self._seconds_to_response, stream))
        is_quiet = route in PROBE_ROUTES or f"{method} {route}" in self._quiet_routes
        has_succeeded = 0 < status < 400 and self.outcome != "cut"
        log.log(
            logging.DEBUG if is_quiet and has_succeeded else logging.INFO,
            "request.finished",
            message="Request finished",
            **self._fields(),
            bytes=self.sent_bytes,
            outcome=self.outcome,
        )

    def on_body(self, chunk: bytes, *, last: bool) -> None:
        if not self._body_room:
            return
        self._body.append(chunk[: self._body_room])
        self._body_room -= len(self._body[-1])
        if last or not self._body_room:
            self._body_room = 0
            text = b"".join(self._body).decode(errors="replace")
            log.info("request.body", message="Request body received", body=_shorten(text))
            self._body.clear()

    @property
    def _elapsed(self) -> float:
        return time.perf_counter() - self._started_at

    def _fields(self) -> dict[str, object]:
        return {
            "method": self.scope["method"],
            "route": self.route,
            "status": self._status or None,
            "duration_ms": round(self._elapsed * 1000, 1),
        }


def _shorten(body: str) -> str:
    text = _DATA_URL.sub(r"\1…", body)
    return text if len(text) <= _MAX_BODY_CHARS else f"{text[:_MAX_BODY_CHARS]}…"
