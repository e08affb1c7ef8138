"""Reads the key or token from a request's headers.

The query is not used: URLs end up in logs and browser histories (RFC 6750, 2.3).
"""

from starlette.types import Scope

from api.auth.auth_errors import AuthError, MissingCredentials

#: More than any issuer's token, and cheap to parse.
_MAX_BYTES = 16_384


def bearer(scope: Scope) -> str:
    """Return the credential of `Authorization: Bearer`.

    Raises:
        MissingCredentials: if there is none.
        AuthError: if the header is malformed.
    """
    scheme, *rest = (_single_header(scope, b"authorization") or "none").split(maxsplit=1)
    if scheme.lower() != "bearer":
        raise MissingCredentials("The request has no token. Send `Authorization: Bearer TOKEN`.")
    return _unquoted(rest[0]) if rest else ""


def api_key(scope: Scope) -> str:
    """Return the value of `X-API-Key` or, without it, of `Authorization: Bearer`.

    Raises:
        MissingCredentials: if there is neither.
        AuthError: if the header is malformed.
    """
    value = _single_header(scope, b"x-api-key")
    try:
        return bearer(scope) if value is None else _unquoted(value)
    except MissingCredentials:
        raise MissingCredentials(
            "The request has no API key. Send `Authorization: Bearer KEY` or `X-API-Key: KEY`."
        ) from None


def _unquoted(value: str) -> str:
    """Return the value without the quotes that configuration files often leave around it."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1].strip() if quoted else value


def _single_header(scope: Scope, header: bytes) -> str | None:
    values: list[bytes] = [value for name, value in scope["headers"] if name == header]
    name = header.decode()
    if len(values) > 1:
        raise AuthError("malformed", f"The request has several {name} headers. Send only one.")
    if values and len(values[0]) > _MAX_BYTES:
        raise AuthError("malformed", f"The {name} header is longer than {_MAX_BYTES:,} bytes.")
    return values[0].decode("latin-1").strip() if values else None
