"""Mode api_key: who holds a key is its owner."""

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
from tests.support.auth_caller import Json, request

PLAIN, HASHED, OLD = new_api_key(), new_api_key(), new_api_key()
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
KEYS = ApiKeyAuthenticator(
    [
        ApiKeySettings(name="old", key=SecretStr(OLD), expires_at=LONG_AGO),
        ApiKeySettings(name="plain", key=SecretStr(PLAIN)),
        ApiKeySettings(
            name="hashed",
            hash=hash_of(HASHED),
            owner="ann",
            tenant="acme",
            scopes=("operator",),
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        ),
    ]
)


@pytest.mark.parametrize(
    "scope",
    [
        request(authorization=f"Bearer {PLAIN}"),
        request(authorization=f"bearer   {PLAIN} "),
        request(x_api_key=PLAIN),
        request(x_api_key=PLAIN, authorization="Basic a proxy's own"),
    ],
)
async def test_a_key_may_come_in_either_header(scope: Json) -> None:
    assert (await KEYS.identify(scope)).owner == owner_id("api_key", "plain")


async def test_a_hash_lets_its_key_in_with_owner_tenant_and_scopes() -> None:
    principal = await KEYS.identify(request(x_api_key=HASHED))

    assert principal.owner == owner_id("api_key", "ann", "acme")
    assert principal.scopes == {"operator"}


async def test_a_key_that_has_expired_is_refused_and_named_to_the_log() -> None:
    with pytest.raises(AuthError, match="has expired") as raised:
        await KEYS.identify(request(x_api_key=OLD))

    assert (raised.value.reason, raised.value.key) == ("expired", "old")


ANY_OTHER = {
    "none": "",
    "wrong": "wrong",
    "too short": PLAIN[:-1],
    "too long": PLAIN + "x",
    "its hash": hash_of(HASHED),
    "no ASCII": "é",
    "a pattern": "*",
}


@pytest.mark.parametrize("key", ANY_OTHER.values(), ids=ANY_OTHER.keys())
async def test_any_other_key_is_refused_without_a_word_of_it(key: str) -> None:
    with pytest.raises(AuthError) as raised:
        await KEYS.identify(request(x_api_key=key))

    assert raised.value.reason == "unknown_key"
    assert str(raised.value) == "The API key is unknown."


@given(st.binary(max_size=200))
async def test_no_bytes_make_it_fail(value: bytes) -> None:
    with pytest.raises(AuthError):
        await KEYS.identify(request(("x-api-key", value.decode("latin-1"))))


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic x"}, {"authorization": PLAIN}])
async def test_without_a_key_the_caller_is_told_how_to_send_one(headers: dict[str, str]) -> None:
    with pytest.raises(MissingCredentials, match="X-API-Key"):
        await KEYS.identify(request(**headers))


@pytest.mark.parametrize("name", ["authorization", "x-api-key"])
async def test_two_headers_of_one_name_are_refused(name: str) -> None:
    header = (name, f"Bearer {PLAIN}" if name == "authorization" else PLAIN)

    with pytest.raises(AuthError) as raised:
        await KEYS.identify(request(header, header))

    assert raised.value.reason == "malformed"


async def test_an_endless_header_is_refused() -> None:
    with pytest.raises(AuthError) as raised:
        await KEYS.identify(request(x_api_key="k" * 20_000))

    assert raised.value.reason == "malformed"


def test_each_key_that_is_made_is_another() -> None:
    made = {new_api_key() for _ in range(100)}

    assert len(made) == 100
    assert all(key.startswith("mk_") and len(key) == 46 for key in made)
