"""Decoding of `data:` URLs (RFC 2397), for the API and the worker.

Decoding must be fast, because it blocks the event loop. A URL may consist of megabytes of `%`
escapes, which `urllib` and regular expressions need seconds to decode.
"""

import base64
from binascii import a2b_qp
from string import hexdigits

#: Translates every escape to `%hh` and other bytes to zero.
_SHAPE = bytes(
    ord("h") if chr(byte) in hexdigits else byte * (byte == ord("%")) for byte in range(256)
)
#: XOR mask that turns the `%` of an escape into `=`.
_MASK = bytes([ord("%") ^ ord("="), 0, 0])
_KEEP_MASK = bytes(byte * (byte == _MASK[0]) for byte in range(256))
#: Base64 characters that clients escape.
_ESCAPED = {b"%2B": b"+", b"%2b": b"+", b"%2F": b"/", b"%2f": b"/", b"%3D": b"=", b"%3d": b"="}


def validate(url: str) -> None:
    """Raise ValueError if `decode` would. Escapes alone are always valid."""
    if not url.partition(",")[0].endswith(";base64"):
        _body(url)
    else:
        decode(url)


def media_type(url: str) -> str:
    """Return the media type that a `data:` URL declares, with its parameters."""
    return url.partition(",")[0].removeprefix("data:").removesuffix(";base64")


def decode(url: str) -> bytes:
    """Return the content of a `data:` URL.

    Raises:
        ValueError: if the comma is missing or the base64 is invalid.
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
        raise ValueError("the comma is missing")
    return head, body


def _unescaped(raw: bytes) -> bytes:
    """Decode escapes as quoted-printable, which uses `=` instead of `%`."""
    if b"%" not in raw:
        return raw
    raw = raw.replace(b"=", b"%3D")
    mask = raw.translate(_SHAPE).replace(b"%hh", _MASK).translate(_KEEP_MASK)
    converted = int.from_bytes(raw, "big") ^ int.from_bytes(mask, "big")
    return a2b_qp(converted.to_bytes(len(raw), "big"))
