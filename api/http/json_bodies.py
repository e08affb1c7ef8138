"""Rejects request bodies that are not declared as JSON.

A page of any site can send `text/plain`, or a body without a content type, to any server. For JSON,
the browser first requires permission from the server (CORS).
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
    if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
        return None
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        return UnsupportedMediaType()
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        return UnsupportedMediaType(
            "Compressed bodies are not supported. Send the body without `content-encoding`."
        )
    return None
