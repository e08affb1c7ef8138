"""Serves the console's page at `/ops` and its assets, as built by `make console`.

They are public and contain no data: the page requests its data with the operator's key. Its URLs
are relative, so it works behind any path prefix.
"""

from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from shared.errors import NotFound

PATH = "/ops"
BUILD_DIR = Path(__file__).parent / "built"

router = APIRouter(include_in_schema=False)

_MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    # Only scripts of this server, and no text becomes markup (Trusted Types).
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
        " object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_REVALIDATE = "no-cache"
#: An asset's name contains a hash of its content.
_IMMUTABLE = "public, max-age=31536000, immutable"
_NOT_BUILT_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Mamba console</title>
<h1>The console is not built</h1>
<p>This server was installed without the console. In a clone of the repository, run
<code>make console</code> (it uses npm from the development dependencies) and reload this page.
Container images and wheels built after that contain the console.</p>
<p>The same information is available from <code>mamba queue --watch</code>,
<code>mamba worker list</code>, <code>mamba run show</code>, <code>mamba doctor</code> and
<code>/metrics</code>.</p>
"""


@router.get(PATH)
async def page(request: Request) -> Response:
    """Serve the page, or build instructions if it does not exist."""
    try:
        content = (BUILD_DIR / "index.html").read_bytes()
    except FileNotFoundError:
        return Response(_NOT_BUILT_PAGE, 404, headers=_HEADERS, media_type="text/html")
    return _file(request, content, "text/html", _REVALIDATE)


@router.get(f"{PATH}/")
async def redirect_trailing_slash() -> Response:
    """Redirect: the page's relative URLs do not work with a trailing slash."""
    return RedirectResponse("../ops", 308)


@router.get(f"{PATH}/assets/{{name}}")
async def asset(request: Request, name: str) -> Response:
    folder = BUILD_DIR / "assets"
    paths = {path.name: path for path in folder.iterdir()} if folder.exists() else {}
    if name not in paths:
        raise NotFound(f"There is no file {name!r}.")
    path = paths[name]
    return _file(request, path.read_bytes(), _MEDIA_TYPES[path.suffix], _IMMUTABLE)


def _file(request: Request, content: bytes, media_type: str, cache_control: str) -> Response:
    etag = f'"{sha256(content).hexdigest()[:32]}"'
    headers = {**_HEADERS, "cache-control": cache_control, "etag": etag}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)
