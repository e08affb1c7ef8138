"""Serves a page that npm has built: `index.html`, and assets with content hashes in their names.

The page may run only scripts of this server, and no text becomes markup (Trusted Types).
"""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from fastapi import Request
from starlette.responses import Response

from shared.errors import NotFound

_MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_SAFE_CONTENT = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_REVALIDATE = "no-cache"
#: An asset's name contains a hash of its content.
_IMMUTABLE = "public, max-age=31536000, immutable"


class BuiltPage:
    """A page in a folder.

    `images` are the permitted sources of images, as in a content security policy.
    """

    def __init__(self, folder: Path, *, images: str = "'self'") -> None:
        self._folder = folder
        self._headers = _HEADERS | {"content-security-policy": f"{_SAFE_CONTENT}; img-src {images}"}

    def document(self, request: Request) -> Response | None:
        """Return the page; None if it is not built."""
        try:
            content = (self._folder / "index.html").read_bytes()
        except FileNotFoundError:
            return None
        return self._file(request, content, "text/html", _REVALIDATE)

    def asset(self, request: Request, name: str) -> Response:
        """Return a file that the page loads.

        Raises:
            NotFound: if there is none with this name.
        """
        folder = self._folder / "assets"
        paths = {path.name: path for path in folder.iterdir()} if folder.exists() else {}
        if name not in paths:
            raise NotFound(f"There is no file {name!r}.")
        path = paths[name]
        return self._file(request, path.read_bytes(), _MEDIA_TYPES[path.suffix], _IMMUTABLE)

    def _file(
        self, request: Request, content: bytes, media_type: str, cache_control: str
    ) -> Response:
        etag = f'"{sha256(content).hexdigest()[:32]}"'
        headers = {**self._headers, "cache-control": cache_control, "etag": etag}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media_type)


def inline_page(html: str, *, style: str = "", status: int = 200) -> Response:
    """Return a page without scripts and other files. `html` contains its `style`."""
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = f"{_SAFE_CONTENT}; style-src 'sha256-{digest}'"
    headers = {**_HEADERS, "cache-control": _REVALIDATE, "content-security-policy": policy}
    return Response(html, status, headers=headers, media_type="text/html")
