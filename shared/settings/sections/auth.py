"""Who may ask, and how they prove it."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from shared.api_key import hash_of
from shared.settings.sections.base import Section

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

#: A shorter key is refused.
_SHORTEST_KEY = 8
#: A shorter one may be guessed, and then its plain digest may be turned back: it is warned of.
_GOOD_KEY = 20


def _in_utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class ApiKeySettings(Section):
    """One client's key: plain, or as a hash that cannot be turned back."""

    name: str = Field(min_length=1, description="Names the key in logs; the owner, if none is set")
    key: SecretStr | None = Field(default=None, description="The key itself")
    hash: str | None = Field(
        default=None, pattern=r"^sha256:[0-9a-f]{64}$", description="Or its hash, `sha256:<hex>`"
    )
    owner: str | None = Field(default=None, min_length=1, description="Whose chats it opens")
    tenant: str | None = Field(default=None, min_length=1, description="The owner's organisation")
    scopes: tuple[str, ...] = Field(default=(), description="What else it may do")
    expires_at: Annotated[datetime, AfterValidator(_in_utc)] | None = Field(
        default=None, description="Refused from then on; UTC where it names no zone"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.key is None) == (self.hash is None):
            raise _wrong("Set `key` or `hash`, one of the two. `mamba key NAME` makes an entry.")
        if self.key and len(self.key.get_secret_value()) < _SHORTEST_KEY:
            raise _wrong(
                f"`key` is shorter than {_SHORTEST_KEY} characters and may be guessed. "
                "`mamba key NAME` makes a good one."
            )
        return self

    @property
    def may_be_guessed(self) -> bool:
        return self.key is not None and len(self.key.get_secret_value()) < _GOOD_KEY

    @property
    def digest(self) -> str:
        """`sha256:<hex>`, in whichever form the key is set."""
        return self.hash or hash_of(self.key.get_secret_value() if self.key else "")


class JwtSettings(Section):
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256",), min_length=1, description="Algorithms that a token may be signed with"
    )
    secret: SecretStr | None = Field(default=None, description="Shared secret, for HS*")
    public_key: str | None = Field(default=None, description="Public key, PEM text")
    public_key_file: Path | None = Field(default=None, description="Public key, PEM file")
    jwks_url: str | None = Field(
        default=None, pattern=r"^https?://", description="Address of the issuer's key set"
    )
    jwks_cache_seconds: float = Field(default=300, gt=0, description="Age of a key set to refresh")
    issuer: str | None = Field(default=None, description="Required `iss`")
    audience: tuple[str, ...] = Field(default=(), description="Accepted `aud`: any one of them")
    leeway_seconds: float = Field(default=10, ge=0, description="Allowed difference of clocks")
    required_claims: tuple[str, ...] = Field(
        default=("exp",), description="Claims that must be there, beside the owner's"
    )
    owner_claim: str = Field(
        default="sub", min_length=1, description="Claim that names the owner; `a.b`: `b` in `a`"
    )
    tenant_claim: str | None = Field(
        default=None, min_length=1, description="Claim that names the organisation"
    )
    scope_claim: str = Field(default="scope", description="Claim that lists the scopes")

    def check(self) -> None:
        """Each algorithm needs what verifies it, and nothing may be set that none of them uses."""
        shared = [name for name in self.algorithms if name.startswith("HS")]
        public = [name for name in self.algorithms if not name.startswith("HS")]
        sources = [
            f"auth.jwt.{name}"
            for name in ("public_key", "public_key_file", "jwks_url")
            if getattr(self, name) is not None
        ]
        if len(sources) > 1:
            raise _wrong(f"{' and '.join(sources)} are set: keep one of them.")
        if public and not sources:
            raise _wrong(
                f"auth.jwt.algorithms has {_listed(public)}: set auth.jwt.public_key, "
                "auth.jwt.public_key_file or auth.jwt.jwks_url."
            )
        if shared and self.secret is None:
            raise _wrong(f"auth.jwt.algorithms has {_listed(shared)}: set auth.jwt.secret.")
        if sources and not public:
            raise _wrong(
                f"{sources[0]} is set, but auth.jwt.algorithms has only {_listed(shared)}: "
                "add the algorithm of the public key, such as RS256 or ES256."
            )
        if self.secret is not None and not shared:
            raise _wrong(
                f"auth.jwt.secret is set, but auth.jwt.algorithms has only {_listed(public)}: "
                "add HS256, or remove the secret."
            )
        self._check_secret(shared)

    def _check_secret(self, algorithms: list[str]) -> None:
        """RFC 7518, 3.2: a secret is at least as long as the hash."""
        size = len(self.secret.get_secret_value().encode()) if self.secret else 0
        for name in algorithms:
            if size * 8 < int(name.removeprefix("HS")):
                raise _wrong(
                    f"auth.jwt.secret has {size} bytes; {name} needs "
                    f"{int(name.removeprefix('HS')) // 8} at least."
                )


class AuthSettings(Section):
    mode: Literal["none", "api_key", "jwt"] = Field(
        default="none", description="none, api_key or jwt"
    )
    hosts: tuple[str, ...] = Field(
        default=(), description="Mode none on loopback: names it answers to beside localhost"
    )
    api_keys: tuple[ApiKeySettings, ...] = Field(default=(), description="Keys of mode api_key")
    jwt: JwtSettings = JwtSettings()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if names := _repeated(entry.name for entry in self.api_keys):
            raise _wrong(f"auth.api_keys: several are named {_listed(names)}; give each a name.")
        if _repeated(entry.digest for entry in self.api_keys):
            raise _wrong("auth.api_keys: two entries hold the same key; give each a key.")
        if self.mode == "jwt":
            self.jwt.check()
        return self


def _repeated(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _listed(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("auth", "{message}", {"message": message})
