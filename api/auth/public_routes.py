"""Lists the routes that need no authentication, and documents it for all others.

`/docs`, the start page and the console's page are public: they contain no chats or system state,
and request a key or token before they call the API.
"""

from typing import Any, cast

from starlette.types import Scope

from api.http import problems
from shared.settings import Settings

_PUBLIC = ("/health", "/docs", "/redoc", "/openapi.json", "/ops/assets", "/playground/assets")
_PAGES = ("/", "/ops", "/ops/")

_HEADER_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A JSON Web Token or an API key, depending on the server's auth.mode.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
}
#: The routes that also accept a stream token.
_STREAMS = ("/{chat_id}/stream", "/{chat_id}/events")
_SCHEMES = {
    **_HEADER_SCHEMES,
    "streamToken": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "A token of `POST /chat/{chat_id}/stream-token`, for `EventSource`.",
    },
}


def is_public_path(path: str) -> bool:
    return path in _PAGES or any(
        path == public or path.startswith(f"{public}/") for public in _PUBLIC
    )


def is_public_request(scope: Scope, settings: Settings) -> bool:
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return is_public_path(path) or (path == "/metrics" and settings.metrics.public)


def add_security(document: dict[str, Any]) -> None:
    """Add authentication and its error responses to the protected operations."""
    document.setdefault("components", {})["securitySchemes"] = _SCHEMES
    paths = cast("dict[str, dict[str, dict[str, Any]]]", document["paths"])
    for path, operations in paths.items():
        for method, operation in () if is_public_path(path) else operations.items():
            accepts_token = method == "get" and path.endswith(_STREAMS)
            schemes = _SCHEMES if accepts_token else _HEADER_SCHEMES
            operation["security"] = [{name: []} for name in schemes]
            operation["responses"] = {**_error_responses(), **operation["responses"]}


def _error_responses() -> dict[str, Any]:
    # 503: the keys of a token's issuer may be unavailable.
    responses = problems.responses(400, 401, 403, 503)
    return {str(status): response for status, response in responses.items()}
