"""`data:` URLs (RFC 2397): what the API accepts is what the worker can read."""

import base64
from urllib.parse import unquote_to_bytes


def content(url: str) -> bytes:
    """The bytes that a `data:` URL holds.

    Raises:
        ValueError: if it holds none: no comma, or base64 that is broken.
    """
    head, comma, body = url.partition(",")
    if not comma:
        raise ValueError("no comma")
    raw = unquote_to_bytes(body)
    return base64.b64decode(raw, validate=True) if head.endswith(";base64") else raw
