"""Authentication: the mode, API keys and JWT verification."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from shared.api_key import hash_of
from shared.settings.sections.address import HttpAddress
from shared.settings.sections.base import Section
from shared.settings.sections.http_values import ApiKey

Algorithm = Literal[
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]

#: Shorter keys are rejected.
_MIN_KEY_LENGTH = 8
#: Shorter keys cause a warning, because an attacker can guess them from the plain digest.
_SAFE_KEY_LENGTH = 20


def _as_tuple(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value or ()


def _in_utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class ApiKeySettings(Section):
    """The API key of one client, in plain text or as a hash."""

    name: str = Field(
        min_length=1, description="Name of the key in logs; also the owner if `owner` is unset"
    )
    key: ApiKey | None = Field(default=None, description="The key in plain text")
    hash: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="Hash of the key, `sha256:<hex>`, instead of `key`",
    )
    owner: str | None = Field(
        default=None, min_length=1, description="Owner whose chats the key can access"
    )
    tenant: str | None = Field(default=None, min_length=1, description="Organization of the owner")
    scopes: tuple[str, ...] = Field(default=(), description="Scopes that the key grants")
    plan: str | None = Field(
        default=None,
        min_length=1,
        description="Plan that selects the weight in `queue.weights` and the budget in "
        "`limits.budgets`",
    )
    expires_at: Annotated[datetime, AfterValidator(_in_utc)] | None = Field(
        default=None, description="Time from which the key is rejected; UTC if it has no time zone"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.key is None) == (self.hash is None):
            raise _auth_error(
                "Set exactly one of `key` and `hash`. `mamba key NAME` generates an entry."
            )
        if self.key and len(self.key.get_secret_value()) < _MIN_KEY_LENGTH:
            raise _auth_error(
                f"`key` is shorter than {_MIN_KEY_LENGTH} characters and can be guessed. "
                "`mamba key NAME` generates a secure one."
            )
        return self

    @property
    def may_be_guessed(self) -> bool:
        return self.key is not None and len(self.key.get_secret_value()) < _SAFE_KEY_LENGTH

    @property
    def digest(self) -> str:
        """The hash of the key, `sha256:<hex>`."""
        return self.hash or hash_of(self.key.get_secret_value() if self.key else "")


class JwtSettings(Section):
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256",), min_length=1, description="Accepted signature algorithms"
    )
    secret: SecretStr | None = Field(
        default=None, description="Shared secret for the HS* algorithms"
    )
    public_key: str | None = Field(default=None, description="Public key as PEM text")
    public_key_file: Path | None = Field(
        default=None, description="Path of a PEM file with the public key"
    )
    jwks_url: HttpAddress | None = Field(
        default=None,
        description="URL of the issuer's JSON Web Key Set, or of its discovery document",
    )
    jwks_cache_seconds: float = Field(
        default=300, gt=0, description="Age after which the key set is refreshed"
    )
    issuer: str | tuple[str, ...] | None = Field(
        default=None,
        description="Accepted value or values of `iss`; a `/` at the end makes no difference",
    )
    audience: str | tuple[str, ...] = Field(
        default=(), description="Accepted value or values of `aud`; a token must have one of them"
    )
    claims: dict[str, str | tuple[str, ...]] = Field(
        default={},
        description="Accepted value or values of other claims, such as `client_id` or `azp`; "
        "if the claim is a list, one of its items must be accepted",
    )
    leeway_seconds: float = Field(default=10, ge=0, description="Allowed difference of clocks")
    required_claims: tuple[str, ...] = Field(
        default=("exp",), description="Required claims in addition to the owner claim"
    )
    owner_claim: str = Field(
        default="sub",
        min_length=1,
        description="Claim that names the owner; `a.b` selects `b` within `a`",
    )
    tenant_claim: str | None = Field(
        default=None, min_length=1, description="Claim that names the organization"
    )
    scope_claim: str | tuple[str, ...] = Field(
        default="scope", description="Claim or claims that list the scopes"
    )

    plan_claim: str | None = Field(
        default=None,
        min_length=1,
        description="Claim that names the plan, which selects the weight in `queue.weights` and "
        "the budget in `limits.budgets`",
    )

    @property
    def issuers(self) -> tuple[str, ...]:
        return _as_tuple(self.issuer)

    @property
    def audiences(self) -> tuple[str, ...]:
        return _as_tuple(self.audience)

    @property
    def scope_claims(self) -> tuple[str, ...]:
        return _as_tuple(self.scope_claim)

    @property
    def accepted_values(self) -> dict[str, tuple[str, ...]]:
        """The accepted values of each claim in `claims`."""
        return {name: _as_tuple(values) for name, values in self.claims.items()}

    def check(self) -> None:
        """Check that each algorithm has a key and that each key has an algorithm."""
        shared = [name for name in self.algorithms if name.startswith("HS")]
        public = [name for name in self.algorithms if not name.startswith("HS")]
        sources = [
            f"auth.jwt.{name}"
            for name in ("public_key", "public_key_file", "jwks_url")
            if getattr(self, name) is not None
        ]
        if len(sources) > 1:
            raise _auth_error(f"{' and '.join(sources)} cannot be combined. Set only one of them.")
        if public and not sources:
            raise _auth_error(
                f"auth.jwt.algorithms contains {_join(public)}. Set auth.jwt.public_key, "
                "auth.jwt.public_key_file or auth.jwt.jwks_url."
            )
        if shared and self.secret is None:
            raise _auth_error(f"auth.jwt.algorithms contains {_join(shared)}. Set auth.jwt.secret.")
        if sources and not public:
            raise _auth_error(
                f"{sources[0]} is set, but auth.jwt.algorithms contains only {_join(shared)}. "
                "Add the algorithm of the public key, such as RS256 or ES256."
            )
        if self.secret is not None and not shared:
            raise _auth_error(
                f"auth.jwt.secret is set, but auth.jwt.algorithms contains only {_join(public)}. "
                "Add HS256, or remove the secret."
            )
        self._check_secret(shared)

    def _check_secret(self, algorithms: list[str]) -> None:
        """Check that the secret is at least as long as the hash (RFC 7518, section 3.2)."""
        size = len(self.secret.get_secret_value().encode()) if self.secret else 0
        for name in algorithms:
            if size * 8 < int(name.removeprefix("HS")):
                raise _auth_error(
                    f"auth.jwt.secret is too short for {name}: it has {size} bytes. "
                    f"Set a secret of at least {int(name.removeprefix('HS')) // 8} bytes."
                )


class AuthSettings(Section):
    mode: Literal["none", "api_key", "jwt"] = Field(
        default="none", description="Authentication mode"
    )
    hosts: tuple[Annotated[str, StringConstraints(to_lower=True)], ...] = Field(
        default=(),
        description="Host names accepted in mode none, in addition to localhost and IP addresses "
        "(at a loopback address of the API: only loopback addresses)",
    )
    api_keys: tuple[ApiKeySettings, ...] = Field(
        default=(), description="API keys for mode api_key"
    )
    jwt: JwtSettings = JwtSettings()
    stream_token_seconds: float = Field(
        default=60,
        ge=1,
        le=300,
        description="Time until a stream token expires, at most 300; open streams continue",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if names := _duplicates(entry.name for entry in self.api_keys):
            raise _auth_error(
                f"auth.api_keys: duplicate name {_join(names)}. Give each key a unique name."
            )
        if _duplicates(entry.digest for entry in self.api_keys):
            raise _auth_error(
                "auth.api_keys: two entries have the same key. Give each entry a unique key."
            )
        if self.mode == "jwt":
            self.jwt.check()
        return self


def _duplicates(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _join(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _auth_error(message: str) -> PydanticCustomError:
    return PydanticCustomError("auth", "{message}", {"message": message})
