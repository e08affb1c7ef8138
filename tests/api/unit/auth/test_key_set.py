"""Key sets of token issuers over HTTP: caching, refresh, key rotation, and unavailable issuers."""

import asyncio
from functools import partial

import pytest

from api.auth import key_set_source
from api.auth.auth_errors import AuthError
from api.auth.key_set import KeySet
from api.auth.tokens import TokenAuthenticator
from shared.errors import Unavailable
from shared.settings import JwtSettings
from tests.support.auth.credentials import OTHER_RSA, P256, RSA, Json, bearer_scope, rsa_key_pair
from tests.support.auth.token_issuer import TokenIssuer
from tests.support.processes import free_port
from tests.support.wait import until


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(issuer: TokenIssuer, clock: Clock) -> KeySet:
    return KeySet(issuer.url, cache_seconds=300, clock=clock)


async def has_key(keys: KeySet, kid: str | None) -> bool:
    return bool(await keys.keys(kid))


async def test_key_set_is_fetched_once_and_cached(
    keys: KeySet, issuer: TokenIssuer, clock: Clock
) -> None:
    for _ in range(5):
        assert await has_key(keys, "a")
        clock.now += 50

    assert issuer.fetch_count == 1


async def test_concurrent_lookups_share_one_fetch(keys: KeySet, issuer: TokenIssuer) -> None:
    assert all(await asyncio.gather(*(has_key(keys, "a") for _ in range(50))))

    assert issuer.fetch_count == 1


async def test_expired_key_set_is_refreshed_in_the_background(
    keys: KeySet, issuer: TokenIssuer, clock: Clock
) -> None:
    await has_key(keys, "a")
    issuer.serve(OTHER_RSA.jwk("b"))
    issuer.released.clear()
    clock.now += 301

    assert await has_key(keys, "a")  # immediately: the issuer has not responded yet

    issuer.released.set()

    async def refreshed() -> bool:
        return not await has_key(keys, "a")

    await until(refreshed)
    assert await has_key(keys, "b")
    assert issuer.fetch_count == 2


async def test_new_key_is_fetched_for_its_first_token(
    keys: KeySet, issuer: TokenIssuer, clock: Clock
) -> None:
    await has_key(keys, "a")
    issuer.serve(RSA.jwk("a"), P256.jwk("b"))
    clock.now += 11

    assert all(await asyncio.gather(*(has_key(keys, "b") for _ in range(20))))
    assert await has_key(keys, "a")
    assert issuer.fetch_count == 2


async def test_unknown_key_ids_do_not_cause_extra_fetches(
    keys: KeySet, issuer: TokenIssuer, clock: Clock
) -> None:
    await has_key(keys, "a")
    for number in range(100):
        assert not await has_key(keys, f"unknown-{number}")
        clock.now += 1

    assert issuer.fetch_count <= 1 + 10


async def test_keys_stay_usable_while_the_issuer_is_unavailable(
    keys: KeySet, issuer: TokenIssuer, clock: Clock
) -> None:
    await has_key(keys, "a")
    issuer.status = 503

    async def fetch_failed(fetches: int) -> bool:
        assert await has_key(keys, "a")
        return issuer.fetch_count == fetches

    for fetches in range(2, 12):
        clock.now += 320
        await until(partial(fetch_failed, fetches))


async def test_stale_keys_expire(keys: KeySet, issuer: TokenIssuer, clock: Clock) -> None:
    await has_key(keys, "a")
    issuer.status = 503
    clock.now += 300 + 3600 + 1

    with pytest.raises(Unavailable):
        await has_key(keys, "a")
    issuer.status = 200
    clock.now += 2
    assert await has_key(keys, "a")


INVALID: dict[str, object] = {
    "invalid JSON": b"<html>",
    "invalid UTF-8": b"\xff\xfe",
    "nested too deep": b"[" * 100_000,
    "a list": [],
    "no keys": {},
    "keys that are not a list": {"keys": {"a": 1}},
    "an empty set": {"keys": []},
    "keys that are not objects": {"keys": [1, None, "a", []]},
    "only a secret": {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]},
    "too large": b'{"keys":[' + b" " * 1_100_000 + b"]}",
}


@pytest.mark.parametrize("body", INVALID.values(), ids=INVALID.keys())
async def test_invalid_body_is_not_a_key_set(
    keys: KeySet, issuer: TokenIssuer, clock: Clock, body: object
) -> None:
    issuer.body = body
    with pytest.raises(Unavailable):
        await has_key(keys, "a")

    issuer.serve(RSA.jwk("a"))
    clock.now += 2
    assert await has_key(keys, "a")
    issuer.body = body
    clock.now += 11
    assert not await has_key(keys, "b")
    assert await has_key(keys, "a")


async def test_invalid_key_among_valid_ones_is_skipped(keys: KeySet, issuer: TokenIssuer) -> None:
    invalid: list[Json] = [{"kty": "RSA", "kid": "b"}, {"kty": "oct", "k": "eA", "kid": "c"}]
    issuer.serve(*invalid, RSA.jwk("a"))

    assert await has_key(keys, "a")
    assert len(await keys.keys(None)) == 1


@pytest.mark.parametrize("endless", [True, False], ids=["endless body", "no response"])
async def test_slow_issuer_delays_requests_briefly(
    keys: KeySet, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch, *, endless: bool
) -> None:
    monkeypatch.setattr(key_set_source, "FETCH_SECONDS", 0.2)
    issuer.endless = endless
    if not endless:
        issuer.released.clear()

    with pytest.raises(Unavailable):
        await has_key(keys, "a")


async def test_cancelled_request_does_not_cancel_the_shared_fetch(
    keys: KeySet, issuer: TokenIssuer
) -> None:
    issuer.released.clear()
    first = asyncio.create_task(has_key(keys, "a"))
    second = asyncio.create_task(has_key(keys, "a"))

    async def fetched() -> bool:
        return issuer.fetch_count == 1

    await until(fetched)
    first.cancel()
    issuer.released.set()

    assert await second
    assert issuer.fetch_count == 1


async def test_unreachable_url_is_unavailable_and_retried_later(
    clock: Clock,
) -> None:
    keys = KeySet(f"http://127.0.0.1:{free_port()}/", cache_seconds=300, clock=clock)

    for _ in range(2):
        with pytest.raises(Unavailable):
            await has_key(keys, "a")


# Tokens verified with a key set


@pytest.fixture
def tokens(keys: KeySet, issuer: TokenIssuer) -> TokenAuthenticator:
    settings = JwtSettings(algorithms=("RS256", "ES256"), jwks_url=issuer.url)
    return TokenAuthenticator(settings, [keys])


async def rejection_reason(tokens: TokenAuthenticator, token: str) -> str:
    with pytest.raises(AuthError) as raised:
        await tokens.identify(bearer_scope(token))
    return raised.value.reason


async def test_key_named_by_the_token_verifies_it(
    tokens: TokenAuthenticator, issuer: TokenIssuer
) -> None:
    issuer.serve(RSA.jwk("a"), OTHER_RSA.jwk("b"), P256.jwk("c"))

    for pair, kid in ((RSA, "a"), (OTHER_RSA, "b"), (P256, "c")):
        await tokens.identify(bearer_scope(pair.token(headers={"kid": kid})))

    assert await rejection_reason(tokens, RSA.token(headers={"kid": "b"})) == "signature"
    assert await rejection_reason(tokens, RSA.token(headers={"kid": "c"})) == "signing_key"
    assert await rejection_reason(tokens, RSA.token(headers={"kid": "d"})) == "signing_key"


@pytest.mark.parametrize("kid", [None, "a"])
async def test_every_key_that_may_have_signed_is_tried(
    tokens: TokenAuthenticator, issuer: TokenIssuer, kid: str | None
) -> None:
    headers = {"kid": kid} if kid else {}
    issuer.serve(P256.jwk(kid), OTHER_RSA.jwk(kid), RSA.jwk(kid))

    await tokens.identify(bearer_scope(RSA.token(headers=headers)))
    await tokens.identify(bearer_scope(OTHER_RSA.token(headers=headers)))
    await tokens.identify(bearer_scope(P256.token(headers=headers)))
    stranger = rsa_key_pair().token(headers=headers)
    assert await rejection_reason(tokens, stranger) == "signature"


async def test_keys_without_id_verify_any_token(
    tokens: TokenAuthenticator, issuer: TokenIssuer
) -> None:
    issuer.serve(RSA.jwk("a"), OTHER_RSA.jwk())

    await tokens.identify(bearer_scope(RSA.token(headers={"kid": "a"})))
    await tokens.identify(bearer_scope(OTHER_RSA.token(headers={"kid": "unlisted"})))
    assert await rejection_reason(tokens, OTHER_RSA.token(headers={"kid": "a"})) == "signature"


async def test_number_of_keys_tried_for_one_token_is_limited(
    tokens: TokenAuthenticator, issuer: TokenIssuer
) -> None:
    issuer.serve(*(RSA.jwk(f"key-{number}") for number in range(17)))

    assert await rejection_reason(tokens, RSA.token()) == "signing_key"
    await tokens.identify(bearer_scope(RSA.token(headers={"kid": "key-16"})))


async def test_withdrawn_key_is_rejected(
    tokens: TokenAuthenticator, issuer: TokenIssuer, clock: Clock
) -> None:
    token = RSA.token(headers={"kid": "a"})
    await tokens.identify(bearer_scope(token))
    issuer.serve(OTHER_RSA.jwk("b"))
    clock.now += 11
    await tokens.identify(bearer_scope(OTHER_RSA.token(headers={"kid": "b"})))

    assert await rejection_reason(tokens, token) == "signing_key"
