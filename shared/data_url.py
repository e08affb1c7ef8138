"""`data:` URLs (RFC 2397): what the API accepts is what the worker can read.

Both have other clients to serve meanwhile, and a URL may be of many megabytes, all of them `%`:
`urllib` takes seconds for that.
"""

import base64
import re

_ESCAPES = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")
#: What of base64's alphabet anybody has a reason to escape.
_ESCAPED = {b"%2B": b"+", b"%2b": b"+", b"%2F": b"/", b"%2f": b"/", b"%3D": b"=", b"%3d": b"="}


def check(url: str) -> None:
    """Raises ValueError if `content` would. Escapes alone are never wrong."""
    if not url.partition(",")[0].endswith(";base64"):
        _body(url)
    else:
        content(url)


def content(url: str) -> bytes:
    """The bytes that a `data:` URL holds.

    Raises:
        ValueError: if it holds none: no comma, or base64 that is broken.
    """
    head, body = _body(url)
    if not head.endswith(";base64"):
        return _ESCAPES.sub(_unescaped, body.encode())
    raw = body.encode()
    for escape, character in _ESCAPED.items():
        raw = raw.replace(escape, character)
    return base64.b64decode(raw, validate=True)


def _body(url: str) -> tuple[str, str]:
    head, comma, body = url.partition(",")
    if not comma:
        raise ValueError("no comma")
    return head, body


def _unescaped(run: re.Match[bytes]) -> bytes:
    return bytes.fromhex(run[0].replace(b"%", b"").decode())
