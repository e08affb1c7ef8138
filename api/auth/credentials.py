"""The key or token that a request carries, from its headers alone.

Not from the query: addresses end up in logs and histories (RFC 6750, 2.3).
"""

from starlette.types import Scope

from api.auth.auth_errors import AuthError, MissingCredentials

#: Bytes. More than any issuer's token, and little enough to be looked at in no time.
_LONGEST = 16_384


def bearer(scope: Scope) -> str:
    """What `Authorization: Bearer` holds.

    Raises:
        Refused: if there is none, or if it is not one.
    """
    value = _one(scope, b"authorization")
    scheme, _, credential = (value or "").partition(" ")
    if value is None or scheme.lower() != "bearer":
        raise MissingCredentials("Send `Authorization: Bearer`, with a token behind it.")
    return credential.strip()


def api_key(scope: Scope) -> str:
    """What `X-API-Key` holds or, without it, `Authorization: Bearer`.

    Raises:
        Refused: if there is neither.
    """
    value = _one(scope, b"x-api-key")
    try:
        return bearer(scope) if value is None else value
    except MissingCredentials:
        raise MissingCredentials(
            "Send the API key: `Authorization: Bearer`, or `X-API-Key`."
        ) from None


def _one(scope: Scope, header: bytes) -> str | None:
    values: list[bytes] = [value for name, value in scope["headers"] if name == header]
    name = header.decode()
    if len(values) > 1:
        raise AuthError("malformed", f"The request has several {name} headers: send one.")
    if values and len(values[0]) > _LONGEST:
        raise AuthError("malformed", f"The {name} header is longer than {_LONGEST:,} bytes.")
    return values[0].decode("latin-1").strip() if values else None
