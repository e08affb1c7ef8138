"""What a JWKS URL can serve: key sets, discovery documents, redirects, and everything else."""

import base64
import gzip
import json
import zlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from api.auth.key_set import KeySet
from api.auth.key_set_source import (
    KeySetSource,
    ReceivedKeySet,
    UnusableKeySetError,
    next_url,
    read_response,
)
from shared.errors import Unavailable
from tests.support.auth.credentials import (
    OTHER_RSA,
    P256,
    RSA,
    Json,
    certificate,
    rsa_key_pair,
)
from tests.support.auth.token_issuer import TokenIssuer, open_issuer


@pytest.fixture
async def other() -> AsyncGenerator[TokenIssuer]:
    """Another server, to which the issuer refers."""
    async with open_issuer() as other:
        other.serve(RSA.jwk("a"))
        yield other


async def fetched_ids(url: str) -> list[str | None]:
    return [key.id for key in (await KeySetSource(url).fetch()).keys]


async def failure(url: str) -> UnusableKeySetError:
    with pytest.raises(UnusableKeySetError) as raised:
        await KeySetSource(url).fetch()
    return raised.value


# Keys


def der(pair: Any = RSA) -> str:
    loaded = x509.load_pem_x509_certificate(certificate(pair).encode())
    return base64.b64encode(loaded.public_bytes(Encoding.DER)).decode()


@pytest.mark.parametrize(
    "members",
    [
        {"use": None, "alg": None, "key_ops": []},
        {"use": "", "alg": "", "key_ops": None, "x5c": [], "x5t": None},
        {"use": "sig", "key_ops": ["sign", "verify"]},
        {"key_ops": "verify"},
        {"x5c": ["not a certificate"], "x5u": 7, "ext": True, "unknown": {"a": 1}},
    ],
)
async def test_key_with_empty_or_unknown_members_is_used(
    issuer: TokenIssuer, members: Json
) -> None:
    issuer.serve({**RSA.jwk("a"), **members}, {**P256.jwk("b"), **members})

    assert await fetched_ids(issuer.url) == ["a", "b"]


@pytest.mark.parametrize("kid", [None, "", 7, ["a"]])
async def test_key_without_a_text_id_is_used(issuer: TokenIssuer, kid: object) -> None:
    issuer.serve({**RSA.jwk(), "kid": kid})

    assert await fetched_ids(issuer.url) == [None]


async def test_key_with_only_a_certificate_is_used(issuer: TokenIssuer) -> None:
    issuer.serve({"kty": "RSA", "kid": "a", "x5c": [der()]})

    [key] = (await KeySetSource(issuer.url).fetch()).keys
    assert key.material == RSA.private.public_key()


SKIPPED: dict[str, object] = {
    "for encryption": RSA.jwk("b", use="enc"),
    "for encryption by its algorithm": RSA.jwk("b", alg="RSA-OAEP"),
    "with unsupported operations": RSA.jwk("b", key_ops=["encrypt"]),
    "of an algorithm of another type": RSA.jwk("b", alg="ES256"),
    "with an algorithm that is a list": RSA.jwk("b", alg=["RS256"]),
    "secret": {"kty": "oct", "k": "c2VjcmV0", "kid": "b"},
    "private": {**RSA.jwk("b"), "d": "AQAB"},
    "too short": rsa_key_pair(1024).jwk("b"),
    "of an unknown type": {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "b"},
    "of an unknown curve": {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA"},
    "of an unsupported curve": {"kty": "OKP", "crv": "Ed448", "x": "AA"},
    "without its parameters": {"kty": "RSA", "kid": "b"},
    "with parameters that are null": {**RSA.jwk("b"), "n": None},
    "with parameters of another type": {**RSA.jwk("b"), "n": 7, "e": {}},
    "with parameters that are not base64": {**RSA.jwk("b"), "n": "!"},
    "with a point outside its curve": {**P256.jwk("b"), "x": P256.jwk()["y"]},
    "with a type that is a list": {**RSA.jwk("b"), "kty": ["RSA"]},
    "with a broken certificate": {"kty": "RSA", "kid": "b", "x5c": ["AAAA"]},
    "with a certificate that is a number": {"kty": "RSA", "kid": "b", "x5c": 7},
    "null": None,
    "text": "RSA",
    "a list": [RSA.jwk("b")],
}


@pytest.mark.parametrize("key", SKIPPED.values(), ids=SKIPPED.keys())
async def test_unusable_key_is_skipped(issuer: TokenIssuer, key: object) -> None:
    issuer.body = {"keys": [key, RSA.jwk("a"), key]}

    fetched = await KeySetSource(issuer.url).fetch()

    assert [key.id for key in fetched.keys] == ["a"]
    assert len(fetched.skipped) == 2
    issuer.body = {"keys": [key]}
    assert "none of its 1 keys can verify a token: " in str(await failure(issuer.url))


async def test_large_key_set_is_read_completely(issuer: TokenIssuer) -> None:
    issuer.serve(*(P256.jwk(f"key-{number}") for number in range(900)))

    assert (await fetched_ids(issuer.url))[-1] == "key-899"


async def test_certificates_by_key_id_are_keys(issuer: TokenIssuer) -> None:
    issuer.body = {"a": certificate(RSA), "b": "-----BEGIN CERTIFICATE-----\nAAAA\n"}

    fetched = await KeySetSource(issuer.url).fetch()

    assert [(key.id, key.material) for key in fetched.keys] == [("a", RSA.private.public_key())]
    assert len(fetched.skipped) == 1


# References to the key set


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_followed(issuer: TokenIssuer, other: TokenIssuer, status: int) -> None:
    issuer.status, issuer.headers = status, [f"location: {other.url}"]

    assert await fetched_ids(issuer.url) == ["a"]


async def test_discovery_document_is_followed(issuer: TokenIssuer, other: TokenIssuer) -> None:
    issuer.body = {"issuer": "https://issuer.example", "jwks_uri": other.url}

    assert await fetched_ids(issuer.url) == ["a"]


async def test_reference_can_be_relative(other: TokenIssuer) -> None:
    other.responses = [(200, [], {"jwks_uri": "/keys"})]

    assert await fetched_ids(other.url) == ["a"]
    assert other.fetch_count == 2


async def test_endless_references_are_an_error(issuer: TokenIssuer) -> None:
    issuer.body = {"jwks_uri": issuer.url}

    assert str(await failure(issuer.url)) == "too many redirects"
    assert issuer.fetch_count == 4


@pytest.mark.parametrize(
    "reference", ["file:///etc/passwd", "ftp://issuer.example/", "//[", "http://[::x]/"]
)
async def test_reference_to_something_else_is_an_error(issuer: TokenIssuer, reference: str) -> None:
    issuer.body = {"jwks_uri": reference}

    assert await failure(issuer.url)
    assert issuer.fetch_count == 1


def test_reference_from_https_to_http_is_refused() -> None:
    assert next_url("https://a.example/x", "/y") == "https://a.example/y"
    assert next_url("http://a.example/x", "https://b.example/y") == "https://b.example/y"
    with pytest.raises(ValueError, match="not https"):
        next_url("https://a.example/x", "http://a.example/y")


async def test_ipv6_address_is_supported() -> None:
    async with open_issuer("::1") as issuer:
        issuer.serve(RSA.jwk("a"))

        assert "[::1]" in issuer.url
        assert await fetched_ids(issuer.url) == ["a"]


@pytest.mark.parametrize(
    "encoding", ["gzip", "GZIP", "x-gzip", "deflate", "identity", "aws-chunked"]
)
async def test_compressed_key_set_is_read(issuer: TokenIssuer, encoding: str) -> None:
    body = json.dumps({"keys": [RSA.jwk("a")]}).encode()
    compress = {"deflate": zlib.compress, "identity": bytes, "aws-chunked": bytes}.get(
        encoding, gzip.compress
    )
    issuer.body, issuer.headers = compress(body), [f"content-encoding: {encoding}"]

    assert await fetched_ids(issuer.url) == ["a"]


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("br", b"x", "the response is compressed in an unsupported way"),
        ("gzip", b"{}", "the response cannot be decompressed"),
        ("gzip", gzip.compress(bytes(2**21)), "the response is larger than 1,048,576 bytes"),
    ],
)
async def test_unreadable_compression_is_an_error(
    issuer: TokenIssuer, encoding: str, body: bytes, reason: str
) -> None:
    issuer.body, issuer.headers = body, [f"content-encoding: {encoding}"]

    assert str(await failure(issuer.url)) == reason


# Other responses, and what the log contains


OTHER_RESPONSES: dict[str, tuple[int, str, object, str]] = {
    "HTML": (200, "text/html", b"<html>Sign in</html>", "the response is not JSON"),
    "404": (404, "text/html; charset=utf-8", b"Not found", "the response has status 404"),
    "503": (503, "application/json", {}, "the response has status 503"),
    "redirect without target": (302, "text/plain", b"", "the response has status 302"),
    "an error": (200, "application/json", {"error": "x"}, "it has no list `keys`"),
    "null": (200, "application/json", None, "the response is not a JSON object"),
    "a list of keys": (200, "application/json", [RSA.jwk("a")], "is not a JSON object"),
    "empty set": (200, "application/json", {"keys": []}, "the key set is empty"),
    "keys that are null": (200, "application/json", {"keys": None}, "it has no list `keys`"),
}


@pytest.mark.parametrize(
    ("status", "content_type", "body", "reason"),
    OTHER_RESPONSES.values(),
    ids=OTHER_RESPONSES.keys(),
)
async def test_log_describes_what_was_received(
    issuer: TokenIssuer, status: int, content_type: str, body: object, reason: str
) -> None:
    issuer.status, issuer.headers, issuer.body = status, [f"content-type: {content_type}"], body

    with capture_logs() as logs, pytest.raises(Unavailable):
        await KeySet(issuer.url, cache_seconds=300).keys("a")

    [line] = logs
    assert line["event"] == "auth.key_set_failed"
    assert reason in line["error"]
    received = (line["status"], line["content_type"], line["url"])
    assert received == (status, content_type, issuer.url)


async def test_key_set_of_any_content_type_is_accepted(issuer: TokenIssuer) -> None:
    for content_type in ("text/plain", "application/octet-stream", "application/jwk-set+json"):
        issuer.headers = [f"content-type: {content_type}"]
        assert await fetched_ids(issuer.url) == ["a"]


async def test_log_has_no_login_and_no_query(issuer: TokenIssuer) -> None:
    issuer.status = 500
    url = issuer.url.replace("http://", "http://user:secret@") + "?code=secret"

    error = await failure(url)

    assert error.url == issuer.url


async def test_log_counts_skipped_keys(issuer: TokenIssuer) -> None:
    issuer.serve(RSA.jwk("a"), OTHER_RSA.jwk("b", use="enc"))

    with capture_logs() as logs:
        await KeySet(issuer.url, cache_seconds=300).keys("a")

    [line] = logs
    assert (line["keys"], line["skipped"]) == (1, 1)
    assert line["reasons"] == ["it is not for signatures"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*RSA.jwk("a", use="sig", alg="RS256", x5c=[]), "crv", "x", "y", "keys"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def merged(key: Json, changes: Json) -> Json:
    return {**key, **changes}


CHANGED_KEYS = st.builds(
    merged,
    st.sampled_from([RSA.jwk("a"), P256.jwk("b"), {"kty": "OKP", "crv": "Ed25519", "x": "AA"}]),
    st.dictionaries(
        st.sampled_from(
            ["kty", "kid", "use", "alg", "key_ops", "n", "e", "crv", "x", "y", "x5c", "d"]
        ),
        JSON,
        max_size=3,
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(JSON | CHANGED_KEYS, max_size=3) | JSON)
def test_any_document_yields_keys_or_a_reason(document: object) -> None:
    for body in (document, {"keys": document}):
        received = ReceivedKeySet(200, "application/json", None, json.dumps(body).encode())
        try:
            found = read_response(received, "https://issuer.example/keys")
        except UnusableKeySetError as error:
            assert str(error)  # noqa: PT017
        else:
            assert isinstance(found, str) or found.keys
