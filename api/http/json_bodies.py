"""A body is JSON and says so, or it is not read.

A page of any site may send `text/plain` wherever it likes; for JSON its browser asks first whether
it may (CORS). A body that says nothing of itself is one of those.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http import problems
from shared.errors import UnsupportedMediaType


class JsonBodiesMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal(Headers(scope=scope)) if scope["type"] == "http" else None
        if refusal is not None:
            await problems.refusal_response(scope, refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _refusal(headers: Headers) -> UnsupportedMediaType | None:
    """None where there is no body, or a plain one of JSON."""
    if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
        return None
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        return UnsupportedMediaType()
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        return UnsupportedMediaType("The body is compressed: send it without `content-encoding`.")
    return None
