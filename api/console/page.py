"""`GET /ops`: the console's page and its files, as `make console` has built them.

They hold nothing of the house, and are open to everybody: what they show they ask for, each time
with the operator's key. Their addresses are relative, so that they are right behind any prefix.
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
    # No script but ours, and no way from a text to markup (Trusted Types).
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
_REVALIDATED = "no-cache"
#: A file's name is made of what it holds.
_KEPT = "public, max-age=31536000, immutable"
_MISSING = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Mamba console</title>
<h1>The console is not built</h1>
<p>This server was installed without its page. In a clone of the sources build it with
<code>make console</code> (it needs npm, which the development dependencies bring), and load this
page again. The images and a wheel built after that have it.</p>
<p>All else works without it: <code>mamba queue --watch</code>, <code>mamba worker list</code>,
<code>mamba run show</code>, <code>mamba doctor</code> and <code>/metrics</code> tell the same.</p>
"""


@router.get(PATH)
async def page(request: Request) -> Response:
    """The page; without one, what to do about it."""
    try:
        content = (BUILD_DIR / "index.html").read_bytes()
    except FileNotFoundError:
        return Response(_MISSING, 404, headers=_HEADERS, media_type="text/html")
    return _file(request, content, "text/html", _REVALIDATED)


@router.get(f"{PATH}/")
async def page_with_a_slash() -> Response:
    """From there the page's relative addresses would lead elsewhere."""
    return RedirectResponse("../ops", 308)


@router.get(f"{PATH}/assets/{{name}}")
async def asset(request: Request, name: str) -> Response:
    folder = BUILD_DIR / "assets"
    known = {path.name: path for path in folder.iterdir()} if folder.exists() else {}
    if name not in known:
        raise NotFound("There is no such file.")
    path = known[name]
    return _file(request, path.read_bytes(), _MEDIA_TYPES[path.suffix], _KEPT)


def _file(request: Request, content: bytes, media_type: str, kept: str) -> Response:
    etag = f'"{sha256(content).hexdigest()[:32]}"'
    headers = {**_HEADERS, "cache-control": kept, "etag": etag}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)
