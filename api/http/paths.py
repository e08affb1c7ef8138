"""Accepts other spellings of the routes' paths.

Clients add or double slashes when they join a base URL and a path, and a proxy may forward the path
with the prefix under which it publishes the API. Redirects would not help: the API has no
setting for its public address, and clients do not repeat a POST.
"""

import re
from collections.abc import Awaitable
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

#: A chat id may contain slashes; only those around it are superfluous.
_ACTION = rb"(/+stream|/+stream-token|/+events|/+stop|/+message|/+messages/+[^/]+|)"
_CHAT = re.compile(rb"/+(chat(?:/+completions)?)/+(?!/)(.+?)" + _ACTION + rb"/*")
_SLASHES = re.compile(rb"/{2,}")
#: With a trailing slash, the relative URLs of these pages do not work. Their routes redirect.
PAGES = ("/docs", "/redoc", "/ops")
_PAGES = tuple(page.encode() for page in PAGES)


class PathMiddleware:
    """Removes `prefix` and superfluous slashes from the path."""

    def __init__(self, app: ASGIApp, prefix: str = "") -> None:
        self._app = app
        self._prefix = prefix.encode()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and (received := scope.get("raw_path")):
            path = _canonical(self._without_prefix(received))
            if path != received:
                text = unquote(path.decode("latin-1"))
                scope = {**scope, "path": text, "raw_path": path}
        return self._app(scope, receive, send)

    def _without_prefix(self, path: bytes) -> bytes:
        rest = path.removeprefix(self._prefix)
        return rest or b"/" if rest[:1] in (b"", b"/") else path


def _canonical(path: bytes) -> bytes:
    if match := _CHAT.fullmatch(path):
        head, chat_id, action = match.groups()
        return b"/%b/%b%b" % (_SLASHES.sub(b"/", head), chat_id, _SLASHES.sub(b"/", action))
    path = _SLASHES.sub(b"/", path)
    shortened = path.rstrip(b"/")
    return path if shortened in _PAGES else shortened or b"/"
