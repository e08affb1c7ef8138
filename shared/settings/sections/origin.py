"""The type of an allowed browser origin (RFC 6454).

A browser sends the scheme and host in lowercase ASCII, without the default port and without a path.
Other spellings of an origin would match nothing, so they are converted or rejected.
"""

import re
from typing import Annotated

from pydantic import AfterValidator

#: Every origin, and the origin of pages without one (files, sandboxed frames).
ANY, OPAQUE = "*", "null"

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<wildcard>\*\.)?(?P<host>\[[0-9a-f:.]+\]|[^\s/?#@:*\[\]]+)"
    r"(?::(?P<port>\d{1,5}|\*))?"
)
_DEFAULT_PORTS = {("http", "80"), ("https", "443")}


def _normalize(origin: str) -> str:
    text = origin.strip().rstrip("/").lower()
    if text in (ANY, OPAQUE):
        return text
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise ValueError(_advice(text))
    scheme, port = match["scheme"], match["port"]
    suffix = "" if port is None or (scheme, port) in _DEFAULT_PORTS else f":{port}"
    return f"{scheme}://{match['wildcard'] or ''}{_ascii(match['host'])}{suffix}"


def _ascii(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise ValueError("The host name is not valid.") from None


def _advice(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    host = re.split(r"[/?#]", rest)[0]
    if not separator:
        return "An origin needs its scheme. Write it as https://chat.example.com."
    if host != rest and _ORIGIN.fullmatch(f"{scheme}://{host}"):
        return f"An origin has no path. Write {scheme}://{host}."
    if "*" in text:
        return (
            "`*` can replace the subdomains (https://*.example.com), the port "
            "(https://example.com:*), or the whole origin (*)."
        )
    return "This is not an origin. Write it as https://chat.example.com."


#: `https://chat.example.com`, `https://*.example.com`, `http://10.0.0.7:*`, `*`, or `null`.
Origin = Annotated[str, AfterValidator(_normalize)]


def origin_pattern(origin: str) -> str:
    """Return a regular expression for the origins that a normalized setting allows."""
    pattern = re.escape(origin).replace(r"://\*\.", r"://([a-z0-9_-]+\.)+")
    return re.sub(r":\\\*$", r"(:\\d+)?", pattern)
