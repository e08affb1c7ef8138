"""A body is JSON and says so, or it is not read.

A page of any site may send `text/plain` wherever it likes; for JSON its browser asks first whether
it may (CORS). A body that says nothing of itself is one of those.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api import problems
from shared.errors import UnsupportedMediaType


class JsonBodiesMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _acceptable(Headers(scope=scope)):
            await problems.refuse(scope, UnsupportedMediaType())(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _acceptable(headers: Headers) -> bool:
    """Whether there is no body, or one of JSON."""
    if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
        return True
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )
