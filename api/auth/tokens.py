"""Mode `jwt`: each client sends a token (RFC 7519) signed by its issuer.

The settings list the accepted algorithms, and the type of a key limits which of them it can verify
(RFC 8725, 3.1). A token's header only selects among algorithms that both allow; `none` is never
accepted.
"""

import re
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

_ERRORS: tuple[tuple[type[jwt.PyJWTError], str, str], ...] = (
    (jwt.ExpiredSignatureError, "expired", "The token has expired."),
    (jwt.ImmatureSignatureError, "not_yet_valid", "The token is not valid yet."),
    (jwt.InvalidAudienceError, "audience", "The token's audience is not this server."),
    (jwt.InvalidSignatureError, "signature", "The token's signature is invalid."),
)
_MAX_NAME = 256
#: Limits the work that a forged token without `kid` causes.
_MAX_CANDIDATES = 16
#: Some issuers use numeric subjects; `_name` validates the owner claim, and `_check_issuer` `iss`.
_OPTIONS: Options = {"verify_sub": False, "verify_jti": False, "verify_iss": False}


class KeySource(Protocol):
    async def keys(self, kid: str | None) -> Sequence[SigningKey]:
        """Return the keys that may have signed a token with this `kid`."""
        ...


class StaticKeys:
    """Keys from the settings."""

    def __init__(self, *keys: SigningKey) -> None:
        self._keys = keys

    async def keys(self, kid: str | None) -> Sequence[SigningKey]:  # noqa: ARG002  (the keys have no ids)
        return self._keys


class TokenAuthenticator:
    def __init__(self, settings: JwtSettings, sources: Sequence[KeySource]) -> None:
        self._settings = settings
        self._sources = sources

    async def identify(self, scope: Scope) -> Principal:
        """Return the principal of the request's token.

        Raises:
            AuthError: if the token is missing or invalid.
            Unavailable: if the issuer's keys cannot be fetched.
        """
        token = bearer(scope)
        claims = await self._verify(token)
        settings = self._settings
        tenant = settings.tenant_claim and _name(claims, settings.tenant_claim)
        try:
            owner = owner_id("jwt", _name(claims, settings.owner_claim), tenant)
        except UnicodeEncodeError:
            raise AuthError("malformed", "A claim of the token contains invalid Unicode.") from None
        scopes = (_scopes(claims, path) for path in settings.scope_claims)
        plan = settings.plan_claim and _claim(claims, settings.plan_claim)
        return Principal(owner, frozenset().union(*scopes), plan if isinstance(plan, str) else None)

    async def _verify(self, token: str) -> _Claims:
        settings = self._settings
        try:
            header = jwt.get_unverified_header(token)
            keys = await self._candidates(header)
            claims = self._decode(token, header["alg"], keys)
        except jwt.PyJWTError as error:
            raise _auth_error(error) from None
        _check_issuer(claims, settings.issuers)
        for name in settings.required_claims:
            if _claim(claims, name) is None:
                raise _missing_claim(name)
        for name, accepted in settings.accepted_values.items():
            _check_value(claims, name, accepted)
        return claims

    async def _candidates(self, header: _Claims) -> Sequence[SigningKey]:
        """Return the keys of which one must have signed the token."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._settings.algorithms:
            raise AuthError("algorithm", "The token's signature algorithm is not accepted.")
        for source in self._sources:
            found = [key for key in await source.keys(kid) if algorithm in key.algorithms]
            if len(found) > _MAX_CANDIDATES:
                raise AuthError("signing_key", "The token must name its signing key (kid).")
            if found:
                return found
        raise AuthError("signing_key", "The token's signing key is unknown.")

    def _decode(self, token: str, algorithm: str, keys: Sequence[SigningKey]) -> _Claims:
        """Return the claims of the token, if one of the keys has signed it."""
        for key in keys:
            try:
                return jwt.decode(
                    token,
                    key.material,
                    algorithms=[algorithm],
                    audience=self._settings.audiences or None,
                    leeway=self._settings.leeway_seconds,
                    options=_OPTIONS,
                )
            except jwt.InvalidSignatureError:
                continue
        raise jwt.InvalidSignatureError


def _auth_error(error: jwt.PyJWTError) -> AuthError:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return _missing_claim(error.claim)
    for error_type, reason, message in _ERRORS:
        if isinstance(error, error_type):
            return AuthError(reason, message)
    return AuthError("malformed", "The token is not a readable JSON Web Token.")


def _missing_claim(claim: str) -> AuthError:
    return AuthError("claim", f"The token lacks the claim {claim!r}.")


def _check_issuer(claims: _Claims, issuers: Sequence[str]) -> None:
    """Check `iss`. A slash at its end is ignored: configured and issued values often differ."""
    if not issuers:
        return
    issuer = claims.get("iss")
    if issuer is None:
        raise _missing_claim("iss")
    if not isinstance(issuer, str) or issuer.rstrip("/") not in {i.rstrip("/") for i in issuers}:
        raise AuthError("issuer", "The token's issuer is not accepted.")


def _check_value(claims: _Claims, path: str, accepted: Sequence[str]) -> None:
    """Check that a claim, or an item of a claim that is a list, has one of the values."""
    value = _claim(claims, path)
    if value is None:
        raise _missing_claim(path)
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    if not any(_text(item) in accepted for item in items):
        raise AuthError("claim", f"The claim {path!r} does not have an accepted value.")


def _text(value: object) -> str | None:
    """Return a string, number or boolean as the settings write it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else None


def _claim(claims: _Claims, path: str) -> object:
    """Return the claim of this name, or the nested claim of a dotted path, or None.

    The names of claims may contain dots themselves: `https://app.example/user.id`.
    """
    if path in claims:
        return claims[path]
    for position in (found.start() for found in re.finditer(r"\.", path)):
        inner = claims.get(path[:position])
        if isinstance(inner, dict):
            value = _claim(cast("_Claims", inner), path[position + 1 :])
            if value is not None:
                return value
    return None


def _name(claims: _Claims, path: str) -> str:
    """Return the name of an owner or tenant. Integers are accepted."""
    value = _claim(claims, path)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or value == "":
        raise _missing_claim(path)
    if not isinstance(value, str) or len(value) > _MAX_NAME:
        raise AuthError(
            "claim",
            f"The claim {path!r} must be a string of at most {_MAX_NAME} characters.",
        )
    return value


def _scopes(claims: _Claims, path: str) -> frozenset[str]:
    """Read scopes from a space-separated string (RFC 8693, 4.2) or a list."""
    value = _claim(claims, path)
    scopes = value.split() if isinstance(value, str) else value or []
    if not isinstance(scopes, list):
        raise AuthError("claim", f"The claim {path!r} must be a string or a list.")
    return frozenset(scope for scope in cast("list[object]", scopes) if isinstance(scope, str))
