"""Sets `X-Request-ID` on every response: the request's own id if it is valid, else a new one."""

import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.telemetry.logs import bind_from_here, unbind

_HEADER = b"x-request-id"
_VALID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


def request_id_of(scope: Scope) -> str:
    return scope.get("state", {}).get("request_id", "")


class RequestIdMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _received_id(scope) or f"req_{secrets.token_urlsafe(12)}"
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (_HEADER, request_id.encode())]
            await send(message)

        bind_from_here(request_id=request_id)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            unbind("request_id", "run_id", "chat", "owner")


def _received_id(scope: Scope) -> str | None:
    values = [value for name, value in scope["headers"] if name == _HEADER]
    text = values[0].decode("latin-1") if values else ""
    return text if _VALID.fullmatch(text) else None
