"""Mode `api_key`: the API key determines the principal."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from api.auth.api_keys import ApiKeyAuthenticator
from api.auth.auth_errors import AuthError, MissingCredentials
from api.auth.principal import owner_id
from shared.api_key import hash_of, new_api_key
from shared.settings import ApiKeySettings
from tests.support.auth.credentials import Json, request_scope

PLAIN, HASHED, OLD = new_api_key(), new_api_key(), new_api_key()
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
AUTHENTICATOR = ApiKeyAuthenticator(
    [
        ApiKeySettings(name="old", key=SecretStr(OLD), expires_at=LONG_AGO),
        ApiKeySettings(name="plain", key=SecretStr(PLAIN)),
        ApiKeySettings(
            name="hashed",
            hash=hash_of(HASHED),
            owner="ann",
            tenant="acme",
            scopes=("operator",),
            plan="premium",
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        ),
    ]
)


@pytest.mark.parametrize(
    "scope",
    [
        request_scope(authorization=f"Bearer {PLAIN}"),
        request_scope(authorization=f"bearer   {PLAIN} "),
        request_scope(x_api_key=PLAIN),
        request_scope(x_api_key=PLAIN, authorization="Basic a proxy's own"),
    ],
)
async def test_key_is_accepted_in_either_header(scope: Json) -> None:
    assert (await AUTHENTICATOR.identify(scope)).owner == owner_id("api_key", "plain")


async def test_hashed_key_has_owner_tenant_scopes_and_plan() -> None:
    principal = await AUTHENTICATOR.identify(request_scope(x_api_key=HASHED))

    assert principal.owner == owner_id("api_key", "ann", "acme")
    assert principal.scopes == {"operator"}
    assert principal.plan == "premium"


async def test_expired_key_is_rejected_with_its_name() -> None:
    with pytest.raises(AuthError, match="has expired") as raised:
        await AUTHENTICATOR.identify(request_scope(x_api_key=OLD))

    assert (raised.value.reason, raised.value.key) == ("expired", "old")


INVALID_KEYS = {
    "none": "",
    "wrong": "wrong",
    "too short": PLAIN[:-1],
    "too long": PLAIN + "x",
    "the hash of a key": hash_of(HASHED),
    "non-ASCII": "é",
    "a pattern": "*",
}


@pytest.mark.parametrize("key", INVALID_KEYS.values(), ids=INVALID_KEYS.keys())
async def test_unknown_key_is_rejected_without_revealing_it(key: str) -> None:
    with pytest.raises(AuthError) as raised:
        await AUTHENTICATOR.identify(request_scope(x_api_key=key))

    assert raised.value.reason == "unknown_key"
    assert str(raised.value) == "The API key is unknown."


@given(st.binary(max_size=200))
async def test_arbitrary_bytes_are_rejected(value: bytes) -> None:
    with pytest.raises(AuthError):
        await AUTHENTICATOR.identify(request_scope(("x-api-key", value.decode("latin-1"))))


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic x"}, {"authorization": PLAIN}])
async def test_missing_key_error_explains_how_to_send_one(headers: dict[str, str]) -> None:
    with pytest.raises(MissingCredentials, match="X-API-Key"):
        await AUTHENTICATOR.identify(request_scope(**headers))


@pytest.mark.parametrize("name", ["authorization", "x-api-key"])
async def test_duplicate_header_is_rejected(name: str) -> None:
    header = (name, f"Bearer {PLAIN}" if name == "authorization" else PLAIN)

    with pytest.raises(AuthError) as raised:
        await AUTHENTICATOR.identify(request_scope(header, header))

    assert raised.value.reason == "malformed"


async def test_overlong_header_is_rejected() -> None:
    with pytest.raises(AuthError) as raised:
        await AUTHENTICATOR.identify(request_scope(x_api_key="k" * 20_000))

    assert raised.value.reason == "malformed"


def test_generated_keys_are_unique() -> None:
    keys = {new_api_key() for _ in range(100)}

    assert len(keys) == 100
    assert all(key.startswith("mk_") and len(key) == 46 for key in keys)
