"""Tokens and key sets of common issuers, with the settings that the documentation recommends."""

import re
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.auth.auth_errors import AuthError
from api.auth.key_set import KeySet
from api.auth.principal import Principal, owner_id
from api.auth.signing_key import from_secret
from api.auth.tokens import KeySource, StaticKeys, TokenAuthenticator
from shared.settings import JwtSettings
from tests.support.auth.credentials import (
    OTHER_RSA,
    P256,
    RSA,
    Json,
    KeyPair,
    bearer_scope,
    certificate,
    secret_token,
)
from tests.support.auth.token_issuer import TokenIssuer, open_issuer

PAGE = Path(__file__).parents[4] / "docs/operate/authentication.md"
NOW = int(time.time())
KID = "Xk1-current"
TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
APP = "6731de76-14a6-49ae-97bc-6eba6914391e"


@dataclass
class Issuer:
    """A token as the issuer creates it, the expected principal, and changes that reject it."""

    claims: Json
    owner: str
    scopes: set[str]
    #: Changed claims (None: removed), and the reason of the rejection.
    rejected: list[tuple[Json, str]]
    tenant: str | None = None
    header: Json = field(default_factory=lambda: {"kid": KID, "typ": "JWT"})
    pair: KeyPair = RSA
    #: The members of its JWKs beside the key itself.
    members: Json = field(default_factory=lambda: {"use": "sig", "alg": "RS256"})


OTHER_AUDIENCE: tuple[Json, str] = ({"aud": "https://other.example"}, "audience")
OTHER_ISSUER: tuple[Json, str] = ({"iss": "https://evil.example/"}, "issuer")
EXPIRED: tuple[Json, str] = ({"exp": NOW - 3600}, "expired")
COGNITO = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E"
ENTRA_USER: Json = {
    "tid": TENANT,
    "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
    "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
    "scp": "access_as_user chat",
    "roles": ["operator"],
    "aio": "AXQAi/8IAAAA",
    "uti": "fqiBqXLPj0eQa82S-IYFAA",
    "nbf": NOW - 300,
}
ISSUERS: dict[str, Issuer] = {
    "Auth0": Issuer(
        {
            "iss": "https://acme.eu.auth0.com/",
            "sub": "auth0|6553da60a54af58e29493993",
            "aud": ["https://mamba.example.com", "https://acme.eu.auth0.com/userinfo"],
            "azp": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
            "scope": "openid profile email",
            "permissions": ["operator", "read:chats"],
        },
        owner="auth0|6553da60a54af58e29493993",
        scopes={"openid", "profile", "email", "operator", "read:chats"},
        rejected=[
            OTHER_AUDIENCE,
            OTHER_ISSUER,
            EXPIRED,
            ({"aud": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja", "nonce": "n"}, "audience"),  # ID token
            ({"aud": None}, "claim"),
        ],
        members={"use": "sig", "alg": "RS256", "x5t": "t", "x5c": ["not used"]},
    ),
    "Auth0, RFC 9068 profile": Issuer(
        {
            "iss": "https://acme.eu.auth0.com/",
            "sub": "auth0|6553da60a54af58e29493993",
            "aud": "https://mamba.example.com",
            "client_id": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
            "jti": "ehXV6mMwnhUGeQNwiRLTi7",
            "scope": "openid",
        },
        owner="auth0|6553da60a54af58e29493993",
        scopes={"openid"},
        rejected=[OTHER_AUDIENCE],
        header={"kid": KID, "typ": "at+jwt"},
    ),
    "Amazon Cognito": Issuer(
        {
            "iss": COGNITO,
            "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
            "client_id": "1h57kf5cpq17m0eml12example",
            "token_use": "access",
            "scope": "aws.cognito.signin.user.admin",
            "cognito:groups": ["operator"],
            "username": "ann",
            "auth_time": NOW - 60,
            "origin_jti": "origin",
            "jti": "jti",
            "version": 2,
        },
        owner="aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        scopes={"aws.cognito.signin.user.admin", "operator"},
        rejected=[
            ({"client_id": "another-app-client-of-the-pool"}, "claim"),
            ({"client_id": None}, "claim"),
            ({"token_use": "id", "aud": "1h57kf5cpq17m0eml12example"}, "audience"),
            ({"token_use": "id"}, "claim"),
            ({"iss": COGNITO[:-1] + "X"}, "issuer"),
            EXPIRED,
        ],
        header={"kid": KID},
    ),
    "Keycloak": Issuer(
        {
            "iss": "https://id.example.com/realms/acme",
            "sub": "36fa0f91-f94d-4a0c-afed-6b7d952e47da",
            "aud": ["mamba-api", "account"],
            "azp": "my-frontend",
            "typ": "Bearer",
            "allowed-origins": ["https://chat.example.com"],
            "realm_access": {"roles": ["offline_access", "operator"]},
            "resource_access": {"account": {"roles": ["view-profile"]}},
            "scope": "email profile",
            "email_verified": True,
        },
        owner="36fa0f91-f94d-4a0c-afed-6b7d952e47da",
        scopes={"offline_access", "operator"},
        rejected=[
            ({"azp": "another-client"}, "claim"),
            ({"azp": None}, "claim"),
            ({"aud": "another-api"}, "audience"),
            ({"iss": "https://id.example.com/realms/other"}, "issuer"),
            ({"realm_access": {"roles": {"operator": True}}}, "claim"),
        ],
    ),
    "Microsoft Entra ID": Issuer(
        {
            **ENTRA_USER,
            "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
            "aud": APP,
            "azp": "0b7f3ee0-36c3-4b5f-b0ca-9f3f8f3a2b0e",
            "azpacr": "0",
            "ver": "2.0",
        },
        owner="690222be-ff1a-4d56-abd1-7e4f7d38e474",
        tenant=TENANT,
        scopes={"access_as_user", "chat", "operator"},
        rejected=[
            ({"aud": "00000003-0000-0000-c000-000000000000"}, "audience"),  # Microsoft Graph
            ({"iss": "https://login.microsoftonline.com/common/v2.0"}, "issuer"),
            ({"oid": None}, "claim"),
            ({"tid": None}, "claim"),
            EXPIRED,
        ],
        members={"use": "sig", "x5t": KID, "x5c": ["MIIC/TCCAeWgAwIBAgI"]},
    ),
    "Microsoft Entra ID, v1": Issuer(
        {
            **ENTRA_USER,
            "iss": f"https://sts.windows.net/{TENANT}/",
            "aud": f"api://{APP}",
            "appid": "0b7f3ee0-36c3-4b5f-b0ca-9f3f8f3a2b0e",
            "appidacr": "0",
            "upn": "ann@example.com",
            "ver": "1.0",
        },
        owner="690222be-ff1a-4d56-abd1-7e4f7d38e474",
        tenant=TENANT,
        scopes={"access_as_user", "chat", "operator"},
        rejected=[({"iss": "https://sts.windows.net/other/"}, "issuer"), OTHER_AUDIENCE],
        header={"kid": KID, "typ": "JWT", "x5t": KID},
        members={"use": "sig", "x5t": KID, "x5c": ["MIIC/TCCAeWgAwIBAgI"]},
    ),
    "Clerk": Issuer(
        {
            "iss": "https://clerk.example.com",
            "sub": "user_2hfJ2qE2sW1dMz7Yd0Pq3bXk9Jt",
            "azp": "https://chat.example.com",
            "sid": "sess_2hfJ2r",
            "sts": "active",
            "fva": [7, -1],
            "nbf": NOW - 10,
            "o": {"id": "org_2hfJ2s", "slg": "acme", "rol": "operator", "per": "read", "fpm": "1"},
            "v": 2,
        },
        owner="user_2hfJ2qE2sW1dMz7Yd0Pq3bXk9Jt",
        scopes={"operator"},
        rejected=[
            ({"azp": "https://evil.example"}, "claim"),
            ({"azp": None}, "claim"),
            OTHER_ISSUER,
            ({"nbf": NOW + 3600}, "not_yet_valid"),
        ],
        header={"kid": KID, "typ": "JWT", "cat": "cl_B7d4PD111AAA"},
    ),
    "Supabase": Issuer(
        {
            "iss": "https://abcdefghijklmnopqrst.supabase.co/auth/v1",
            "sub": "123e4567-e89b-12d3-a456-426614174000",
            "aud": "authenticated",
            "role": "authenticated",
            "aal": "aal1",
            "amr": [{"method": "password", "timestamp": NOW - 60}],
            "session_id": "session",
            "email": "ann@example.com",
            "app_metadata": {"provider": "email", "roles": ["operator"]},
            "user_metadata": {"roles": ["forged"]},
            "is_anonymous": False,
        },
        owner="123e4567-e89b-12d3-a456-426614174000",
        scopes={"operator"},
        rejected=[
            # The public anon key of the project.
            ({"iss": "supabase", "sub": None, "aud": None, "role": "anon"}, "claim"),
            ({"aud": "anon"}, "audience"),
            OTHER_ISSUER,
        ],
        pair=P256,
        members={"use": "sig", "alg": "ES256", "key_ops": ["verify"], "ext": True},
    ),
    "Firebase": Issuer(
        {
            "iss": "https://securetoken.google.com/my-project",
            "aud": "my-project",
            "sub": "f6AUQ1pTHYbUZyWKvBWVmyfgwVD3",
            "user_id": "f6AUQ1pTHYbUZyWKvBWVmyfgwVD3",
            "auth_time": NOW - 60,
            "firebase": {"identities": {}, "sign_in_provider": "password"},
            "roles": ["operator"],
        },
        owner="f6AUQ1pTHYbUZyWKvBWVmyfgwVD3",
        scopes={"operator"},
        rejected=[
            # Every Firebase project has the same keys.
            ({"aud": "other", "iss": "https://securetoken.google.com/other"}, "audience"),
            ({"iss": "https://session.firebase.google.com/my-project"}, "issuer"),
            ({"sub": ""}, "claim"),
        ],
    ),
    "Google": Issuer(
        {
            "iss": "accounts.google.com",
            "azp": "1234987819200.apps.googleusercontent.com",
            "aud": "1234987819200.apps.googleusercontent.com",
            "sub": "10769150350006150715113082367",
            "hd": "example.com",
            "email": "ann@example.com",
            "email_verified": True,
        },
        owner="10769150350006150715113082367",
        scopes=set(),
        rejected=[
            ({"aud": "other.apps.googleusercontent.com"}, "audience"),
            ({"hd": "gmail.example"}, "claim"),
            ({"hd": None}, "claim"),
            ({"iss": "https://accounts.google.com.evil.example"}, "issuer"),
        ],
    ),
    "Okta": Issuer(
        {
            "ver": 1,
            "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
            "iss": "https://acme.okta.com/oauth2/default",
            "aud": "api://default",
            "cid": "0oa9x8w7v6u5t4s3r2q1",
            "uid": "00uid4BxXw6I6TV4m0g3",
            "scp": ["openid", "operator"],
            "sub": "ann@example.com",
        },
        owner="00uid4BxXw6I6TV4m0g3",
        scopes={"openid", "operator"},
        rejected=[
            OTHER_AUDIENCE,
            ({"cid": "another-client"}, "claim"),
            ({"uid": None}, "claim"),  # a token of a client without a user
            ({"iss": "https://acme.okta.com"}, "issuer"),
        ],
    ),
}
CASES = [
    pytest.param(name, changes, reason, id=f"{name}: {' '.join(changes)}-{reason}-{index}")
    for name, issuer in ISSUERS.items()
    for index, (changes, reason) in enumerate(issuer.rejected)
]


def documented_settings(name: str) -> Json:
    """The settings below the heading of the issuer."""
    section = PAGE.read_text().partition(f"\n### {name.partition(',')[0]}\n")[2]
    block = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert block is not None
    settings: Any = yaml.safe_load(block[1])
    assert settings["auth"]["mode"] == "jwt"
    return settings["auth"]["jwt"]


@pytest.fixture
async def server() -> AsyncGenerator[TokenIssuer]:
    async with open_issuer() as server:
        yield server


def authenticator(name: str, server: TokenIssuer) -> TokenAuthenticator:
    issuer, settings = ISSUERS[name], JwtSettings(**documented_settings(name))
    settings.check()
    assert settings.jwks_url
    encryption_key = OTHER_RSA.jwk("enc", use="enc", alg="RSA-OAEP")
    server.serve(encryption_key, P256.jwk("old"), issuer.pair.jwk(KID, **issuer.members))
    sources: list[KeySource] = [KeySet(server.url, cache_seconds=300)]
    if settings.secret:
        sources.insert(0, StaticKeys(from_secret(settings.secret.get_secret_value())))
    return TokenAuthenticator(settings, sources)


def token(issuer: Issuer, changes: Json, pair: KeyPair | None = None) -> str:
    claims = {"iat": NOW - 60, "exp": NOW + 3600, **issuer.claims, **changes}
    present = {claim: value for claim, value in claims.items() if value is not None}
    return (pair or issuer.pair).token(present, headers=issuer.header)


async def rejection_reason(tokens: TokenAuthenticator, text: str) -> str:
    with pytest.raises(AuthError) as raised:
        await tokens.identify(bearer_scope(text))
    return raised.value.reason


@pytest.mark.parametrize("name", ISSUERS)
async def test_documented_settings_accept_the_issuers_token(name: str, server: TokenIssuer) -> None:
    issuer = ISSUERS[name]

    principal = await authenticator(name, server).identify(bearer_scope(token(issuer, {})))

    owner = owner_id("jwt", issuer.owner, issuer.tenant)
    assert principal == Principal(owner, frozenset(issuer.scopes))


@pytest.mark.parametrize(("name", "changes", "reason"), CASES)
async def test_documented_settings_reject_other_tokens(
    name: str, changes: Json, reason: str, server: TokenIssuer
) -> None:
    changed = token(ISSUERS[name], changes)

    assert await rejection_reason(authenticator(name, server), changed) == reason


@pytest.mark.parametrize("name", ISSUERS)
async def test_token_of_another_key_is_rejected(name: str, server: TokenIssuer) -> None:
    issuer = ISSUERS[name]
    tokens = authenticator(name, server)
    forged = KeyPair("RS256", OTHER_RSA.private)

    expected = "signature" if issuer.pair is RSA else "algorithm"
    assert await rejection_reason(tokens, token(issuer, {}, forged)) == expected


@pytest.mark.parametrize("name", ISSUERS)
async def test_issuer_with_or_without_a_slash_is_accepted(name: str, server: TokenIssuer) -> None:
    issuer = ISSUERS[name]
    issued_by: str = issuer.claims["iss"]
    other = issued_by.rstrip("/") if issued_by.endswith("/") else f"{issued_by}/"

    await authenticator(name, server).identify(bearer_scope(token(issuer, {"iss": other})))


async def test_legacy_supabase_token_is_accepted(server: TokenIssuer) -> None:
    issuer = ISSUERS["Supabase"]
    tokens = authenticator("Supabase", server)
    secret: str = documented_settings("Supabase")["secret"]
    claims = {"iat": NOW - 60, "exp": NOW + 3600, **issuer.claims}

    accepted = await tokens.identify(bearer_scope(secret_token(claims, secret=secret)))

    assert accepted.owner == owner_id("jwt", issuer.owner)
    forged = secret_token(claims, secret="another secret of thirty-two bytes")
    assert await rejection_reason(tokens, forged) == "signature"


async def test_certificates_by_key_id_are_a_key_set(server: TokenIssuer) -> None:
    """Google serves its keys in this form too."""
    tokens = authenticator("Firebase", server)
    server.body = {"other": certificate(OTHER_RSA), KID: certificate(RSA)}

    await tokens.identify(bearer_scope(token(ISSUERS["Firebase"], {})))
