"""Who may ask, and how they prove it."""

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from shared.settings.section import Section

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
    expires_at: datetime | None = Field(default=None, description="Refused from then on")


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
    owner_claim: str = Field(default="sub", min_length=1, description="Claim that names the owner")
    tenant_claim: str | None = Field(default=None, description="Claim that names the organisation")
    scope_claim: str = Field(default="scope", description="Claim that lists the scopes")


class AuthSettings(Section):
    mode: Literal["none", "api_key", "jwt"] = Field(
        default="none", description="none, api_key or jwt"
    )
    api_keys: tuple[ApiKeySettings, ...] = Field(default=(), description="Keys of mode api_key")
    jwt: JwtSettings = JwtSettings()
