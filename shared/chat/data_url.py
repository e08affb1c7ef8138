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
#: The alphabet of URLs (RFC 4648), and the white space that base64 may contain.
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITE_SPACE = b"\t\n\f\r "


def validate(url: str) -> None:
    """Raise ValueError if `decode` would. Escapes alone are always valid."""
    head, body = _split(url)
    if _is_base64(head):
        decode_base64(body)


def media_type(url: str) -> str:
    """Return the media type that a `data:` URL declares, with its parameters."""
    return _split(url)[0].partition(":")[2]


def decode(url: str) -> bytes:
    """Return the content of a `data:` URL.

    Raises:
        ValueError: if the comma is missing or the base64 is invalid.
    """
    head, body = _split(url)
    return decode_base64(body) if _is_base64(head) else _unescaped(body.encode())


def decode_base64(text: str) -> bytes:
    """Decode base64 as browsers do: with line breaks, without padding, with escapes, URL-safe.

    Raises:
        ValueError: if the base64 is invalid.
    """
    raw = _unescaped(text.encode("ascii")).translate(_URL_SAFE, _WHITE_SPACE)
    if len(raw) % 4:
        raw = raw.rstrip(b"=")
        raw += b"=" * (-len(raw) % 4)
    return base64.b64decode(raw, validate=True)


def _split(url: str) -> tuple[str, str]:
    head, comma, body = url.partition(",")
    if not comma:
        raise ValueError("the comma is missing")
    return head, body


def _is_base64(head: str) -> bool:
    _, *parameters = head.lower().split(";")
    return any(parameter.strip() == "base64" for parameter in parameters)


def _unescaped(raw: bytes) -> bytes:
    """Decode escapes as quoted-printable, which uses `=` instead of `%`."""
    if b"%" not in raw:
        return raw
    raw = raw.replace(b"=", b"%3D")
    mask = raw.translate(_SHAPE).replace(b"%hh", _MASK).translate(_KEEP_MASK)
    converted = int.from_bytes(raw, "big") ^ int.from_bytes(mask, "big")
    return a2b_qp(converted.to_bytes(len(raw), "big"))
