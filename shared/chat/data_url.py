"""`data:` URLs (RFC 2397): what the API accepts is what the worker can read.

Both have other clients to serve meanwhile, and a URL may be of many megabytes, all of them `%`:
`urllib` takes seconds for that, and so does a regular expression.
"""

import base64
from binascii import a2b_qp
from string import hexdigits

#: Every escape is `%hh` in this; whatever cannot be of one is zero.
_SHAPE = bytes(
    ord("h") if chr(byte) in hexdigits else byte * (byte == ord("%")) for byte in range(256)
)
#: By exclusive or: what makes a `=` of the `%` of an escape, and nothing of all else.
_TURN = bytes([ord("%") ^ ord("="), 0, 0])
_ONLY_TURNS = bytes(byte * (byte == _TURN[0]) for byte in range(256))
#: What of base64's alphabet anybody has a reason to escape.
_ESCAPED = {b"%2B": b"+", b"%2b": b"+", b"%2F": b"/", b"%2f": b"/", b"%3D": b"=", b"%3d": b"="}


def validate(url: str) -> None:
    """Raises ValueError if `content` would. Escapes alone are never wrong."""
    if not url.partition(",")[0].endswith(";base64"):
        _body(url)
    else:
        decode(url)


def decode(url: str) -> bytes:
    """The bytes that a `data:` URL holds.

    Raises:
        ValueError: if it holds none: no comma, or base64 that is broken.
    """
    head, body = _body(url)
    if not head.endswith(";base64"):
        return _unescaped(body.encode())
    raw = body.encode()
    for escape, character in _ESCAPED.items():
        raw = raw.replace(escape, character)
    return base64.b64decode(raw, validate=True)


def _body(url: str) -> tuple[str, str]:
    head, comma, body = url.partition(",")
    if not comma:
        raise ValueError("no comma")
    return head, body


def _unescaped(raw: bytes) -> bytes:
    """Read it as quoted-printable, which has a `=` where this has the `%` of an escape."""
    if b"%" not in raw:
        return raw
    raw = raw.replace(b"=", b"%3D")
    turns = raw.translate(_SHAPE).replace(b"%hh", _TURN).translate(_ONLY_TURNS)
    turned = int.from_bytes(raw, "big") ^ int.from_bytes(turns, "big")
    return a2b_qp(turned.to_bytes(len(raw), "big"))
