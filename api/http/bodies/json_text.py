"""Conversion of request bodies to valid JSON in UTF-8.

JavaScript strings may contain half of a surrogate pair, for example after a cut in the middle of an
emoji, and `JSON.stringify` sends it as an escape. It becomes U+FFFD, as in browsers.
"""

import codecs
import re

from shared.text_decoding import decode_text

_UTF8 = frozenset({"", "utf-8", "utf8"})
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: An escaped backslash, a surrogate pair, or half of one.
_ESCAPES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_ESCAPE_BYTES = 6
_REPLACEMENT = rb"\ufffd"


def to_utf8(body: bytes, charset: str | None) -> bytes:
    """Convert a body with a declared charset or a byte order mark to UTF-8."""
    if (charset or "").lower() in _UTF8 and not body.startswith(_MARKS):
        return body
    return decode_text(body, charset).encode()


def repair(body: bytes) -> bytes:
    """Replace what cannot be decoded in a JSON text with U+FFFD."""
    # A zero byte means UTF-16 or UTF-32 without a byte order mark.
    text = decode_text(body) if b"\0" in body[:4] else body.decode("utf-8", "replace")
    return _ESCAPES.sub(_replace_half, text.encode())


def _replace_half(escape: re.Match[bytes]) -> bytes:
    return _REPLACEMENT if len(escape[0]) == _ESCAPE_BYTES else escape[0]
