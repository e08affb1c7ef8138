"""Mode `jwt`: a valid token identifies its principal; every other token is rejected."""

import base64
import hmac
import json
import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from api.auth.auth_errors import AuthError, MissingCredentials
from api.auth.principal import Principal, owner_id
from api.auth.signing_key import from_jwk, from_pem, from_secret
from api.auth.tokens import StaticKeys, TokenAuthenticator
from shared.settings import JwtSettings
from tests.support.auth.credentials import (
    KEY_PAIRS,
    OTHER_RSA,
    P256,
    RSA,
    SECRET,
    Json,
    KeyPair,
    bearer_scope,
    request_scope,
    rsa_key_pair,
    secret_token,
    valid_claims,
)


def public_key_verifier(pair: KeyPair = RSA, **settings: Any) -> TokenAuthenticator:
    settings = {"algorithms": (pair.algorithm,), "public_key": pair.public_pem, **settings}
    return TokenAuthenticator(JwtSettings(**settings), [StaticKeys(from_pem(pair.public_pem))])


def secret_verifier(
    algorithms: Sequence[Any] = ("HS256",), secret: str = SECRET
) -> TokenAuthenticator:
    settings = JwtSettings(algorithms=tuple(algorithms), secret=SecretStr(secret))
    return TokenAuthenticator(settings, [StaticKeys(from_secret(secret))])


async def identify(verifier: TokenAuthenticator, token: str) -> Principal:
    return await verifier.identify(bearer_scope(token))


async def rejection_reason(verifier: TokenAuthenticator, token: str) -> str:
    with pytest.raises(AuthError) as raised:
        await identify(verifier, token)
    assert not token or token not in str(raised.value)
    return raised.value.reason


@pytest.mark.parametrize("pair", KEY_PAIRS, ids=[pair.algorithm for pair in KEY_PAIRS])
async def test_token_of_each_public_algorithm_is_accepted(pair: KeyPair) -> None:
    principal = await identify(public_key_verifier(pair), pair.token())

    assert principal == Principal(owner_id("jwt", "ann"))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_token_of_each_shared_secret_is_accepted(algorithm: str) -> None:
    secret = SECRET * 2

    principal = await identify(
        secret_verifier([algorithm], secret), secret_token(algorithm=algorithm, secret=secret)
    )

    assert principal == Principal(owner_id("jwt", "ann"))


# Principals


@pytest.mark.parametrize(
    ("settings", "claims", "owner"),
    [
        ({}, {}, owner_id("jwt", "ann")),
        ({"owner_claim": "email"}, {"email": "a@b"}, owner_id("jwt", "a@b")),
        ({"owner_claim": "user.id"}, {"user": {"id": "u1"}}, owner_id("jwt", "u1")),
        ({"owner_claim": "https://a.b/id"}, {"https://a.b/id": "x"}, owner_id("jwt", "x")),
        ({"owner_claim": "user_id"}, {"user_id": 42}, owner_id("jwt", "42")),
        ({}, {"sub": 42, "jti": 7}, owner_id("jwt", "42")),
        ({"tenant_claim": "org"}, {"org": "acme"}, owner_id("jwt", "ann", "acme")),
    ],
)
async def test_configured_claims_name_owner_and_tenant(
    settings: Json, claims: Json, owner: str
) -> None:
    principal = await identify(public_key_verifier(**settings), RSA.token(valid_claims(**claims)))

    assert principal.owner == owner


@pytest.mark.parametrize(
    ("claim", "scopes"),
    [
        ("read  operator", {"read", "operator"}),
        (["read", "operator"], {"read", "operator"}),
        ("", set[str]()),
        (None, set[str]()),
        ([1, "read"], {"read"}),
    ],
)
async def test_scopes_can_be_a_string_or_a_list(claim: object, scopes: set[str]) -> None:
    principal = await identify(public_key_verifier(), RSA.token(valid_claims(scope=claim)))

    assert principal.scopes == scopes


@pytest.mark.parametrize(
    ("settings", "plan"),
    [({}, None), ({"plan_claim": "app.plan"}, "premium"), ({"plan_claim": "groups"}, None)],
)
async def test_plan_claim_names_the_plan(settings: Json, plan: str | None) -> None:
    token = RSA.token(valid_claims(app={"plan": "premium"}, groups=["premium"]))

    assert (await identify(public_key_verifier(**settings), token)).plan == plan


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_owner_ids_are_unambiguous(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (owner_id("jwt", *one) == owner_id("jwt", *other)) == (one == other)


def test_owner_ids_of_two_modes_differ() -> None:
    assert owner_id("jwt", "ann") != owner_id("api_key", "ann")


# Rejected tokens


NOW = int(time.time())
REJECTED: dict[str, tuple[Json, Json, str]] = {
    "expired": ({}, {"exp": NOW - 60}, "expired"),
    "not yet valid": ({}, {"nbf": NOW + 86_400}, "not_yet_valid"),
    "issued in the future": ({}, {"iat": NOW + 86_400}, "not_yet_valid"),
    "for another audience": ({"audience": ("me",)}, {"aud": "you"}, "audience"),
    "for an audience that is not configured": ({}, {"aud": "you"}, "audience"),
    "without an audience": ({"audience": ("me",)}, {}, "claim"),
    "from another issuer": ({"issuer": "us"}, {"iss": "them"}, "issuer"),
    "from an issuer that is a list": ({"issuer": "us"}, {"iss": ["us"]}, "issuer"),
    "without an issuer": ({"issuer": "us"}, {}, "claim"),
    "without an expiry": ({}, {"exp": None}, "claim"),
    "without a required claim": ({"required_claims": ("exp", "jti")}, {}, "claim"),
    "without a nested required claim": ({"required_claims": ("a.b",)}, {"a": {"c": 1}}, "claim"),
    "without an owner": ({}, {"sub": None}, "claim"),
    "with an empty owner": ({}, {"sub": ""}, "claim"),
    "with an owner that is a list": ({"owner_claim": "id"}, {"id": ["ann"]}, "claim"),
    "with a subject that is a list": ({}, {"sub": ["ann"]}, "claim"),
    "with an owner that is true": ({"owner_claim": "id"}, {"id": True}, "claim"),
    "with an overlong owner": ({}, {"sub": "a" * 300}, "claim"),
    "with a lone surrogate as owner": ({}, {"sub": "\ud800"}, "malformed"),
    "without a tenant": ({"tenant_claim": "org"}, {}, "claim"),
    "with a tenant that is an object": ({"tenant_claim": "org"}, {"org": {}}, "claim"),
    "with scopes that are a number": ({}, {"scope": 7}, "claim"),
    "with an expiry that is text": ({}, {"exp": "soon"}, "malformed"),
    "with an infinite expiry": ({}, {"exp": float("inf")}, "malformed"),
}


@pytest.mark.parametrize(("settings", "claims", "expected"), REJECTED.values(), ids=REJECTED.keys())
async def test_invalid_token_is_rejected(settings: Json, claims: Json, expected: str) -> None:
    token = RSA.token({k: v for k, v in {**valid_claims(), **claims}.items() if v is not None})

    assert await rejection_reason(public_key_verifier(**settings), token) == expected


@pytest.mark.parametrize("audience", ["me", ["you", "me"]])
async def test_token_with_one_of_several_audiences_is_accepted(audience: object) -> None:
    verifier = public_key_verifier(audience=("me", "us"), issuer="here")

    await identify(verifier, RSA.token(valid_claims(aud=audience, iss="here")))


async def test_expiry_within_the_leeway_is_accepted() -> None:
    token = RSA.token(valid_claims(exp=int(time.time()) - 30))

    assert await rejection_reason(public_key_verifier(leeway_seconds=10), token) == "expired"
    await identify(public_key_verifier(leeway_seconds=60), token)


async def test_signature_by_another_key_is_rejected() -> None:
    assert await rejection_reason(public_key_verifier(), OTHER_RSA.token()) == "signature"
    wrong = secret_token(secret="another secret of thirty-two bytes")
    assert await rejection_reason(secret_verifier(), wrong) == "signature"


async def test_changed_claim_is_rejected_by_the_signature() -> None:
    header, _, signature = RSA.token().split(".")
    claims = base64.urlsafe_b64encode(json.dumps(valid_claims(sub="eve")).encode()).decode()

    assert (
        await rejection_reason(public_key_verifier(), f"{header}.{claims.rstrip('=')}.{signature}")
        == "signature"
    )


def forged(algorithm: object, signature: str = "", **header: Any) -> str:
    """Return a token without a valid signature."""
    parts = [{"typ": "JWT", "alg": algorithm, **header}, valid_claims()]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return ".".join([*(part.rstrip("=") for part in encoded), signature])


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, ["RS256"], "RS257", 5])
async def test_unlisted_algorithm_is_rejected(algorithm: object) -> None:
    assert await rejection_reason(public_key_verifier(), forged(algorithm)) == "algorithm"
    assert await rejection_reason(secret_verifier(), forged(algorithm)) == "algorithm"


async def test_public_key_is_not_accepted_as_hmac_secret() -> None:
    """Prevents algorithm confusion: signing with HS256 and the public key as secret."""
    head = forged("HS256").rpartition(".")[0]
    mac = hmac.new(RSA.public_pem.encode(), head.encode(), sha256).digest()
    token = f"{head}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    assert await rejection_reason(public_key_verifier(), token) == "algorithm"
    both = JwtSettings(algorithms=("RS256", "HS256"), secret=SecretStr(SECRET))
    sources = [StaticKeys(from_secret(SECRET)), StaticKeys(from_pem(RSA.public_pem))]
    assert await rejection_reason(TokenAuthenticator(both, sources), token) == "signature"
    assert await rejection_reason(TokenAuthenticator(both, sources[1:]), token) == "signing_key"


async def test_key_type_must_match_the_algorithm() -> None:
    verifier = public_key_verifier(RSA, algorithms=("RS256", "ES256"))

    assert await rejection_reason(verifier, P256.token()) == "signing_key"


MALFORMED = [
    *("", "x", "..", "a.b.c", "e30.e30.e30", "é.é.é"),
    *(RSA.token()[:-20], RSA.token() + ".x"),
    *(forged("RS256", kid=7), forged("RS256", crit=["x"]), forged("RS256", b64=False)),
]


@pytest.mark.parametrize("token", MALFORMED, ids=range(len(MALFORMED)))
async def test_malformed_token_is_rejected(token: str) -> None:
    assert await rejection_reason(public_key_verifier(), token) in (
        "malformed",
        "algorithm",
        "signature",
    )


@given(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255)))
async def test_arbitrary_text_is_rejected(header: str, rest: str) -> None:
    encoded = base64.urlsafe_b64encode(header.encode()).decode().rstrip("=")
    for token in (header, f"{encoded}.{rest}.", f"{encoded}.{encoded}.{encoded}"):
        with pytest.raises(AuthError):
            await public_key_verifier().identify(bearer_scope(token))


async def test_deeply_nested_claims_are_rejected() -> None:
    payload = b'{"sub":' + b"[" * 5000 + b"]" * 5000 + b"}"
    token = jwt.api_jws.encode(payload, RSA.private, "RS256")

    assert await rejection_reason(public_key_verifier(), token) in ("malformed", "claim")


async def test_token_in_another_header_is_ignored() -> None:
    with pytest.raises(MissingCredentials, match="Authorization: Bearer"):
        await public_key_verifier().identify(request_scope(x_api_key=RSA.token()))


# Keys


@pytest.mark.parametrize(
    "text",
    ["", "no key", RSA.private_pem, rsa_key_pair(1024).public_pem, RSA.public_pem[:80]],
    ids=["empty", "text", "private", "too short", "truncated"],
)
def test_invalid_public_key_is_rejected_without_revealing_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it|^its") as raised:
        from_pem(text)

    assert "BEGIN PRIVATE" not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a"},
        RSA.jwk(use="enc"),
        RSA.jwk(key_ops=["encrypt"]),
        RSA.jwk(alg="RSA-OAEP"),
        rsa_key_pair(1024).jwk(),
        {**RSA.jwk(), "d": "AQAB"},
        {**RSA.jwk(), "n": "!"},
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
    ],
)
def test_jwk_that_cannot_verify_tokens_is_rejected(jwk: Json) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (any reason)
        from_jwk(jwk)


@pytest.mark.parametrize("pair", KEY_PAIRS, ids=[pair.algorithm for pair in KEY_PAIRS])
def test_jwk_has_the_algorithms_of_its_type(pair: KeyPair) -> None:
    assert from_jwk(pair.jwk("a")).algorithms == from_pem(pair.public_pem).algorithms
    assert from_jwk(pair.jwk("a", alg=pair.algorithm)).algorithms == {pair.algorithm}
    assert from_jwk(pair.jwk("a", use="sig")).id == "a"
