"""What is open to everybody, and what the API's document says of the rest.

`/docs` is open: it describes this open server to whoever has its address and shows nobody's chats.
To try a route there one enters a key or token first. The console's page is open likewise, and shows
nothing of the house until an operator has entered one.
"""

from typing import Any, cast

from starlette.types import Scope

from api.http import problems
from shared.settings import Settings

_PUBLIC = ("/health", "/docs", "/redoc", "/openapi.json", "/ops/assets")
_PAGES = ("/ops", "/ops/")

_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A JSON Web Token, or an API key, as the server is set up.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
}


def is_public_path(path: str) -> bool:
    return path in _PAGES or any(
        path == public or path.startswith(f"{public}/") for public in _PUBLIC
    )


def is_public_request(scope: Scope, settings: Settings) -> bool:
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return is_public_path(path) or (path == "/metrics" and settings.metrics.public)


def add_security(document: dict[str, Any]) -> None:
    """Say in the API's document how callers prove who they are, by the same rule."""
    document.setdefault("components", {})["securitySchemes"] = _SCHEMES
    paths = cast("dict[str, dict[str, dict[str, Any]]]", document["paths"])
    for path, operations in paths.items():
        for operation in () if is_public_path(path) else operations.values():
            operation["security"] = [{name: []} for name in _SCHEMES]
            operation["responses"] = {**_refusals(), **operation["responses"]}


def _refusals() -> dict[str, Any]:
    """What the gate answers: also that it cannot tell, where it does not reach a key set."""
    return {str(status): said for status, said in problems.responses(401, 403, 503).items()}
