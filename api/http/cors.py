"""Decides which pages of other origins may call the API (the CORS protocol)."""

import re
from collections.abc import Awaitable

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.settings import ServerSettings, Settings
from shared.settings.live_settings import LiveSettings
from shared.settings.sections.origin import ANY, OPAQUE, origin_pattern

#: Pages on this machine, on any port.
_LOCAL = r"https?://(([a-z0-9_-]+\.)*localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?"
_EXPOSED_HEADERS = (
    *("x-chat-id", "x-run-id", "x-request-id", "x-vercel-ai-ui-message-stream"),
    *("x-workflow-run-id", "x-workflow-stream-tail-index"),
    *("www-authenticate", "retry-after", "ratelimit", "ratelimit-policy"),
)
#: The longest time that Chromium caches a preflight response.
_MAX_AGE_SECONDS = 7200


def is_allowed_origin(origin: str, settings: ServerSettings) -> bool:
    """Return whether a page of this origin may call the API."""
    origins = settings.cors_origins
    return ANY in origins or origin in origins or bool(re.fullmatch(_pattern(settings), origin))


def is_own_page(headers: Headers) -> bool:
    """Return whether a page of this server, or a client other than a browser, sent the request.

    Browsers declare the page in headers that it cannot forge. Clients other than browsers send
    neither header. Over plain HTTP, browsers send `Sec-Fetch-Site` to localhost only.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site in ("same-origin", "none") or (site is None and origin is None):
        return True
    host = headers.get("host", "").lower()
    return bool(host) and (origin or "").partition("://")[2] == host


def is_foreign_page(headers: Headers, settings: ServerSettings) -> bool:
    """Return whether a page that may not call the API made a browser send the request."""
    return not is_own_page(headers) and not is_allowed_origin(headers.get("origin", ""), settings)


class CorsMiddleware:
    """Applies the CORS settings, also after they have changed."""

    def __init__(self, app: ASGIApp, live: LiveSettings) -> None:
        self._app = app
        self._current = _middleware(app, live.now.server)
        live.on_change(self._on_change)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._current(scope, receive, send)

    def _on_change(self, settings: Settings) -> None:
        self._current = _middleware(self._app, settings.server)


def _middleware(app: ASGIApp, settings: ServerSettings) -> ASGIApp:
    return _OriginMiddleware(
        app,
        allow_origins=[origin for origin in settings.cors_origins if origin in (ANY, OPAQUE)],
        allow_origin_regex=_pattern(settings),
        allow_credentials=settings.cors_credentials,
        allow_methods=["GET", "HEAD", "POST", "DELETE"],
        allow_headers=["*"],
        allow_private_network=True,
        expose_headers=_EXPOSED_HEADERS,
        max_age=_MAX_AGE_SECONDS,
    )


def _pattern(settings: ServerSettings) -> str:
    origins = (origin for origin in settings.cors_origins if origin not in (ANY, OPAQUE))
    return "|".join((_LOCAL, *map(origin_pattern, origins)))


class _OriginMiddleware(CORSMiddleware):
    """Lets pages of public websites call an API in a private network, if their origin is allowed.

    The base class grants this part of a preflight to every origin.
    """

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code != 200:
            del response.headers["access-control-allow-private-network"]
        return response
