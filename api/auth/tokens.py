"""Mode jwt: each caller brings a token (RFC 7519) that its issuer has signed.

Which algorithms are taken is the settings' word, and which of them a key may verify is the key's
(RFC 8725, 3.1): a token's header only chooses among what both allow. `none` is no algorithm here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import jwt
from jwt.types import Options
from starlette.types import Scope

from api.auth.auth_errors import AuthError
from api.auth.credentials import bearer
from api.auth.principal import Principal, owner_id
from api.auth.signing_key import SigningKey
from shared.settings import JwtSettings

_Claims = Mapping[str, Any]

_MISTAKES: tuple[tuple[type[jwt.PyJWTError], str, str], ...] = (
    (jwt.ExpiredSignatureError, "expired", "The token has expired."),
    (jwt.ImmatureSignatureError, "not_yet_valid", "The token is not valid yet."),
    (jwt.InvalidAudienceError, "audience", "The token is for another audience."),
    (jwt.InvalidIssuerError, "issuer", "The token is from another issuer."),
    (jwt.InvalidSignatureError, "signature", "The token's signature is wrong."),
)
_LONGEST_NAME = 256
#: Some issuers number their users; what an owner's name may be is said below.
_OPTIONS: Options = {"verify_sub": False, "verify_jti": False}


class KeySource(Protocol):
    async def keys(self, kid: str | None) -> Sequence[SigningKey]:
        """The keys that a token with this `kid` may have been signed with."""
        ...


class StaticKeys:
    """Keys that are in the settings."""

    def __init__(self, *keys: SigningKey) -> None:
        self._keys = keys

    async def keys(self, kid: str | None) -> Sequence[SigningKey]:  # noqa: ARG002  (a token may name what it likes)
        return self._keys


class TokenAuthenticator:
    def __init__(self, settings: JwtSettings, sources: Sequence[KeySource]) -> None:
        self._settings = settings
        self._sources = sources

    async def identify(self, scope: Scope) -> Principal:
        """Raises Refused, or Unavailable while the issuer's keys cannot be had."""
        token = bearer(scope)
        claims = await self._verify(token)
        settings = self._settings
        tenant = settings.tenant_claim and _name(claims, settings.tenant_claim)
        try:
            owner = owner_id("jwt", _name(claims, settings.owner_claim), tenant)
        except UnicodeEncodeError:
            raise AuthError("malformed", "The token's names hold half a character.") from None
        return Principal(owner, _scopes(claims, settings.scope_claim))

    async def _verify(self, token: str) -> _Claims:
        settings = self._settings
        try:
            header = jwt.get_unverified_header(token)
            key = await self._key(header)
            claims: _Claims = jwt.decode(
                token,
                key.material,
                algorithms=[header["alg"]],
                audience=settings.audience or None,
                issuer=settings.issuer,
                leeway=settings.leeway_seconds,
                options=_OPTIONS,
            )
        except jwt.PyJWTError as error:
            raise _refused(error) from None
        for name in settings.required_claims:
            if _claim(claims, name) is None:
                raise _missing(name)
        return claims

    async def _key(self, header: _Claims) -> SigningKey:
        """The one key that the token may have been signed with."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._settings.algorithms:
            raise AuthError("algorithm", "The token is signed with an algorithm that is not taken.")
        for source in self._sources:
            fitting = [key for key in await source.keys(kid) if algorithm in key.algorithms]
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                raise AuthError("signing_key", "The token does not name its key (kid).")
        raise AuthError("signing_key", "The token is signed with a key that is not known.")


def _refused(error: jwt.PyJWTError) -> AuthError:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return _missing(error.claim)
    for kind, reason, message in _MISTAKES:
        if isinstance(error, kind):
            return AuthError(reason, message)
    return AuthError("malformed", "The token is no JSON Web Token that can be read.")


def _missing(claim: str) -> AuthError:
    return AuthError("claim", f"The token lacks the claim {claim!r}.")


def _claim(claims: _Claims, path: str) -> object:
    """A claim of that name or, along its dots, one within others; None if there is none."""
    if path in claims:
        return claims[path]
    value: object = claims
    for step in path.split("."):
        value = cast("_Claims", value).get(step) if isinstance(value, dict) else None
    return value


def _name(claims: _Claims, path: str) -> str:
    """An owner's or a tenant's name: a text, or a whole number."""
    value = _claim(claims, path)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or value == "":
        raise _missing(path)
    if not isinstance(value, str) or len(value) > _LONGEST_NAME:
        raise AuthError(
            "claim", f"The claim {path!r} is not a text of at most {_LONGEST_NAME} characters."
        )
    return value


def _scopes(claims: _Claims, path: str) -> frozenset[str]:
    """From a text with spaces between them (RFC 8693, 4.2), or from a list."""
    value = _claim(claims, path)
    listed = value.split() if isinstance(value, str) else value or []
    if not isinstance(listed, list):
        raise AuthError("claim", f"The claim {path!r} is neither a text nor a list.")
    return frozenset(scope for scope in cast("list[object]", listed) if isinstance(scope, str))
