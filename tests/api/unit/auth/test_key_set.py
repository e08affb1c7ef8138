"""An issuer's keys, over real HTTP: kept, renewed, rotated, and kept on while it is away."""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

import pytest

from api.auth import key_set
from api.auth.auth_errors import AuthError
from api.auth.key_set import KeySet
from api.auth.tokens import TokenAuthenticator
from shared.errors import Unavailable
from shared.settings import JwtSettings
from tests.support.auth_caller import OTHER_RSA, P256, RSA, Json, with_token
from tests.support.processes import free_port
from tests.support.token_issuer import Issuer, open_issuer
from tests.support.wait import until


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def issuer() -> AsyncGenerator[Issuer]:
    async with open_issuer() as issuer:
        issuer.serve(RSA.jwk("a"))
        yield issuer


@pytest.fixture
def keys(issuer: Issuer, clock: Clock) -> KeySet:
    return KeySet(issuer.url, cache_seconds=300, clock=clock)


async def knows(keys: KeySet, kid: str | None) -> bool:
    return bool(await keys.keys(kid))


async def test_the_set_is_fetched_once_and_kept(keys: KeySet, issuer: Issuer, clock: Clock) -> None:
    for _ in range(5):
        assert await knows(keys, "a")
        clock.now += 50

    assert issuer.fetched == 1


async def test_many_who_ask_at_once_make_one_fetch(keys: KeySet, issuer: Issuer) -> None:
    assert all(await asyncio.gather(*(knows(keys, "a") for _ in range(50))))

    assert issuer.fetched == 1


async def test_an_aged_set_is_renewed_beside_the_requests(
    keys: KeySet, issuer: Issuer, clock: Clock
) -> None:
    await knows(keys, "a")
    issuer.serve(OTHER_RSA.jwk("b"))
    issuer.answering.clear()
    clock.now += 301

    assert await knows(keys, "a")  # at once: the issuer has not answered yet

    issuer.answering.set()

    async def renewed() -> bool:
        return not await knows(keys, "a")

    await until(renewed)
    assert await knows(keys, "b")
    assert issuer.fetched == 2


async def test_a_new_key_is_found_when_its_first_token_comes(
    keys: KeySet, issuer: Issuer, clock: Clock
) -> None:
    await knows(keys, "a")
    issuer.serve(RSA.jwk("a"), P256.jwk("b"))
    clock.now += 11

    assert all(await asyncio.gather(*(knows(keys, "b") for _ in range(20))))
    assert await knows(keys, "a")
    assert issuer.fetched == 2


async def test_made_up_key_ids_do_not_make_fetches(
    keys: KeySet, issuer: Issuer, clock: Clock
) -> None:
    await knows(keys, "a")
    for number in range(100):
        assert not await knows(keys, f"made-up-{number}")
        clock.now += 1

    assert issuer.fetched <= 1 + 10


async def test_the_keys_stay_while_the_issuer_is_away(
    keys: KeySet, issuer: Issuer, clock: Clock
) -> None:
    await knows(keys, "a")
    issuer.status = 503

    async def asked_in_vain(fetches: int) -> bool:
        assert await knows(keys, "a")
        return issuer.fetched == fetches

    for fetches in range(2, 12):
        clock.now += 320
        await until(partial(asked_in_vain, fetches))


async def test_they_do_not_stay_for_ever(keys: KeySet, issuer: Issuer, clock: Clock) -> None:
    await knows(keys, "a")
    issuer.status = 503
    clock.now += 300 + 3600 + 1

    with pytest.raises(Unavailable):
        await knows(keys, "a")
    issuer.status = 200
    clock.now += 2
    assert await knows(keys, "a")


BAD: dict[str, object] = {
    "no JSON": b"<html>",
    "no text": b"\xff\xfe",
    "nested without end": b"[" * 100_000,
    "a list": [],
    "no keys": {},
    "keys that are no list": {"keys": {"a": 1}},
    "an empty set": {"keys": []},
    "no object among the keys": {"keys": [1, None, "a", []]},
    "only a secret": {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]},
    "too large": b'{"keys":[' + b" " * 300_000 + b"]}",
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
async def test_garbage_is_no_key_set(
    keys: KeySet, issuer: Issuer, clock: Clock, body: object
) -> None:
    issuer.body = body
    with pytest.raises(Unavailable):
        await knows(keys, "a")

    issuer.serve(RSA.jwk("a"))
    clock.now += 2
    assert await knows(keys, "a")
    issuer.body = body
    clock.now += 11
    assert not await knows(keys, "b")
    assert await knows(keys, "a")


async def test_a_bad_key_among_good_ones_is_left_out(keys: KeySet, issuer: Issuer) -> None:
    bad: list[Json] = [{"kty": "RSA", "kid": "b"}, {"kty": "oct", "k": "eA", "kid": "c"}]
    issuer.serve(*bad, RSA.jwk("a"))

    assert await knows(keys, "a")
    assert len(await keys.keys(None)) == 1


@pytest.mark.parametrize("status", [301, 302, 404, 500])
async def test_another_status_is_no_key_set_and_no_redirect_is_followed(
    keys: KeySet, issuer: Issuer, status: int
) -> None:
    async with open_issuer() as elsewhere:
        elsewhere.serve(RSA.jwk("a"))
        issuer.status, issuer.headers = status, [f"location: {elsewhere.url}"]

        with pytest.raises(Unavailable):
            await knows(keys, "a")
        assert elsewhere.fetched == 0


@pytest.mark.parametrize("dripping", [True, False], ids=["drips", "says nothing"])
async def test_a_slow_issuer_holds_nobody_up_for_long(
    keys: KeySet, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, *, dripping: bool
) -> None:
    monkeypatch.setattr(key_set, "_FETCH_SECONDS", 0.2)
    issuer.dripping = dripping
    if not dripping:
        issuer.answering.clear()

    with pytest.raises(Unavailable):
        await knows(keys, "a")


async def test_a_client_that_leaves_does_not_end_the_fetch_of_the_others(
    keys: KeySet, issuer: Issuer
) -> None:
    issuer.answering.clear()
    first = asyncio.create_task(knows(keys, "a"))
    second = asyncio.create_task(knows(keys, "a"))

    async def asked() -> bool:
        return issuer.fetched == 1

    await until(asked)
    first.cancel()
    issuer.answering.set()

    assert await second
    assert issuer.fetched == 1


async def test_an_address_where_nobody_listens_is_unavailable_and_not_asked_at_once(
    clock: Clock,
) -> None:
    keys = KeySet(f"http://127.0.0.1:{free_port()}/", cache_seconds=300, clock=clock)

    for _ in range(2):
        with pytest.raises(Unavailable):
            await knows(keys, "a")


# Tokens by a key set


@pytest.fixture
def tokens(keys: KeySet, issuer: Issuer) -> TokenAuthenticator:
    settings = JwtSettings(algorithms=("RS256", "ES256"), jwks_url=issuer.url)
    return TokenAuthenticator(settings, [keys])


async def reason(tokens: TokenAuthenticator, token: str) -> str:
    with pytest.raises(AuthError) as raised:
        await tokens.identify(with_token(token))
    return raised.value.reason


async def test_the_key_that_a_token_names_verifies_it(
    tokens: TokenAuthenticator, issuer: Issuer
) -> None:
    issuer.serve(RSA.jwk("a"), OTHER_RSA.jwk("b"), P256.jwk("c"))

    for pair, kid in ((RSA, "a"), (OTHER_RSA, "b"), (P256, "c")):
        await tokens.identify(with_token(pair.token(headers={"kid": kid})))

    assert await reason(tokens, RSA.token(headers={"kid": "b"})) == "signature"
    assert await reason(tokens, RSA.token(headers={"kid": "c"})) == "signing_key"
    assert await reason(tokens, RSA.token(headers={"kid": "d"})) == "signing_key"


async def test_a_token_without_a_key_id_needs_a_set_with_one_key_for_it(
    tokens: TokenAuthenticator, issuer: Issuer, clock: Clock
) -> None:
    issuer.serve(RSA.jwk("a"), P256.jwk("c"))
    await tokens.identify(with_token(RSA.token()))

    issuer.serve(RSA.jwk("a"), OTHER_RSA.jwk("b"))
    clock.now += 11
    assert await reason(tokens, RSA.token(headers={"kid": "new"})) == "signing_key"
    assert await reason(tokens, RSA.token()) == "signing_key"


async def test_a_key_that_was_withdrawn_verifies_no_more(
    tokens: TokenAuthenticator, issuer: Issuer, clock: Clock
) -> None:
    token = RSA.token(headers={"kid": "a"})
    await tokens.identify(with_token(token))
    issuer.serve(OTHER_RSA.jwk("b"))
    clock.now += 11
    await tokens.identify(with_token(OTHER_RSA.token(headers={"kid": "b"})))

    assert await reason(tokens, token) == "signing_key"
