"""Rejects request bodies that are declared as something other than JSON.

A page of any site can send `text/plain`, or a body without a content type, to any server. For JSON,
the browser first requires permission from the server (CORS). Bodies without a content type are
therefore accepted from other clients and from pages that may call the API.
"""

from collections.abc import Awaitable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http import problems
from api.http.cors import is_foreign_page
from shared.errors import UnsupportedMediaType
from shared.settings.live_settings import LiveSettings


class JsonBodiesMiddleware:
    def __init__(self, app: ASGIApp, live: LiveSettings) -> None:
        self._app = app
        self._live = live

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        refusal = self._refusal(Headers(scope=scope)) if scope["type"] == "http" else None
        app = self._app if refusal is None else problems.refusal_response(scope, refusal)
        return app(scope, receive, send)

    def _refusal(self, headers: Headers) -> UnsupportedMediaType | None:
        if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
            return None
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            return UnsupportedMediaType(
                "Compressed bodies are not supported. Send the body without `content-encoding`."
            )
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        is_json = media_type == "application/json" or (
            media_type.startswith("application/") and media_type.endswith("+json")
        )
        undeclared = not media_type and not is_foreign_page(headers, self._live.now.server)
        return None if is_json or undeclared else UnsupportedMediaType()
