"""Spellings of keys and tokens in requests, and of keys in the settings."""

import codecs
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from api.auth.auth_errors import AuthError, MissingCredentials
from api.auth.credentials import api_key, bearer
from api.auth.key_file import KeyFile
from api.auth.signing_key import from_pem
from shared.errors import SettingsError
from shared.settings import ApiKeySettings, AuthSettings, JwtSettings, Settings
from shared.settings.load import load_settings
from tests.support.auth.credentials import RSA, SECRET, certificate, request_scope
from tests.support.auth.small_app import client_for, small_app

KEY = "mk_a-key-of-more-than-twenty-characters"


@pytest.mark.parametrize(
    "header",
    [
        *("Bearer {}", "bearer {}", "BEARER {}", "bEaReR   {}  ", "Bearer\t{}", "  Bearer {}"),
        *('Bearer "{}"', "Bearer '{}'", 'Bearer " {} "'),
    ],
)
def test_spellings_of_a_bearer_header_are_accepted(header: str) -> None:
    assert bearer(request_scope(authorization=header.format(KEY))) == KEY
    assert api_key(request_scope(authorization=header.format(KEY))) == KEY


@pytest.mark.parametrize("header", ["{}", " {} ", '"{}"', "'{}'"])
def test_spellings_of_an_api_key_header_are_accepted(header: str) -> None:
    assert api_key(request_scope(x_api_key=header.format(KEY))) == KEY


@pytest.mark.parametrize("header", ["", " ", KEY, f"Basic {KEY}", f"Bearer{KEY}", f"Token {KEY}"])
def test_other_schemes_are_missing_credentials(header: str) -> None:
    with pytest.raises(MissingCredentials, match="Authorization: Bearer"):
        bearer(request_scope(authorization=header))


@pytest.mark.parametrize("where", ["query", "cookie"])
async def test_credentials_elsewhere_are_ignored(where: str) -> None:
    query = f"?access_token={KEY}&token={KEY}&api_key={KEY}" if where == "query" else ""
    headers = {"cookie": f"token={KEY}; __session={KEY}"} if where == "cookie" else {}

    async with client_for(small_app(with_api_key(KEY))) as client:
        response = await client.get(f"/me{query}", headers=headers)

    assert response.status_code == 401
    assert response.json()["code"] == "unauthenticated"


HEADERS = [b"authorization", b"x-api-key"]
INVALID: list[bytes] = [
    "Bearer “sk-abc”".encode(),
    "Bearer \u200bschlüssel".encode(),
    b"Bearer \xff\xfe\x80",
    b"Bearer \xef\xbb\xbf" + KEY.encode(),
    b"Bearer null",
    b"Bearer undefined",
    b"Bearer Bearer " + KEY.encode(),
    b"Bearer [object Object]",
    b"Bearer " + b"x" * 20_000,
    b"Bearer \x00",
]


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("value", INVALID, ids=range(len(INVALID)))
async def test_unreadable_header_returns_401(name: bytes, value: bytes) -> None:
    for settings in (with_api_key(KEY), TOKENS):
        async with client_for(small_app(settings)) as client:
            response = await client.get("/me", headers=httpx.Headers([(name, value)]))
        assert response.status_code == 401
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["www-authenticate"].isascii()


TOKENS = Settings(
    auth=AuthSettings(mode="jwt", jwt=JwtSettings(algorithms=("HS256",), secret=SecretStr(SECRET)))
)


def with_api_key(key: str, **entry: Any) -> Settings:
    keys = (ApiKeySettings(name="app", key=SecretStr(key), **entry),)
    return Settings(auth=AuthSettings(mode="api_key", api_keys=keys))


@given(st.lists(st.tuples(st.sampled_from(HEADERS), st.binary(max_size=60)), max_size=3))
def test_arbitrary_headers_are_credentials_or_rejected(headers: list[tuple[bytes, bytes]]) -> None:
    scope = {**request_scope(), "headers": [(name, b"Bearer " + value) for name, value in headers]}
    for read in (bearer, api_key):
        with suppress(AuthError):
            assert isinstance(read(scope), str)


# Public keys in the settings


def spellings() -> dict[str, str]:
    """Return the spellings of a PEM text in variables and files."""
    pem = RSA.public_pem
    body = "".join(pem.splitlines()[1:-1])
    return {
        "CRLF": pem.replace("\n", "\r\n"),
        "BOM": f"\ufeff{pem}",
        "escaped line ends": pem.replace("\n", "\\n"),
        "escaped CRLF": pem.replace("\n", "\\r\\n"),
        "one line": pem.replace("\n", " "),
        "no line ends": pem.replace("\n", ""),
        "quoted": f'"{pem}"',
        "indented": textwrap.indent(pem, "    "),
        "one long line": f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----",
        "text around it": f"Public key of the issuer:\n{pem}\nValid from 2026",
        "certificate": certificate(RSA),
        "certificate on one line": certificate(RSA).replace("\n", " "),
    }


@pytest.mark.parametrize("text", spellings().values(), ids=spellings().keys())
def test_spellings_of_a_public_key_are_read(text: str) -> None:
    assert from_pem(text).material == RSA.private.public_key()


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + RSA.public_pem.encode(),
        RSA.public_pem.encode("utf-16"),
        RSA.public_pem.encode("utf-16-le"),
        RSA.public_pem.replace("\n", "\r\n").encode(),
        b"\xff\x80 comment \x93\n" + RSA.public_pem.encode(),
    ],
    ids=["BOM", "UTF-16", "UTF-16 without BOM", "CRLF", "comment in another encoding"],
)
async def test_public_key_file_can_have_any_encoding(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "issuer.pem"
    path.write_bytes(content)

    [key] = await KeyFile(path).keys(None)
    assert key.material == RSA.private.public_key()


@given(st.text(), st.sampled_from(["PUBLIC KEY", "CERTIFICATE", "EC PUBLIC KEY", ""]))
def test_arbitrary_pem_text_is_rejected(content: str, label: str) -> None:
    with pytest.raises(ValueError, match=r"^it"):
        from_pem(f"-----BEGIN {label}-----\n{content}\n-----END {label}-----")


# Settings that are a text or a list


def test_settings_can_be_a_text_or_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ISSUER": "https://a.example/",
        "AUDIENCE": "123456",
        "SCOPE_CLAIM": '["scope", "roles"]',
        "CLAIMS__AZP": '["one", "two"]',
        "CLAIMS__CLIENT_ID": "client",
    }.items():
        monkeypatch.setenv(f"MAMBA_AUTH__JWT__{name}", value)

    jwt = load_settings().auth.jwt

    assert jwt.issuers == ("https://a.example/",)
    assert jwt.audiences == ("123456",)
    assert jwt.scope_claims == ("scope", "roles")
    assert jwt.accepted_values == {"azp": ("one", "two"), "client_id": ("client",)}


@pytest.mark.parametrize(
    "key",
    [f"“{KEY}”", f"\ufeff{KEY}", f"{KEY}\r\n{KEY}", f"\u200b{KEY}", f"schlüssel-{KEY}", f"a {KEY}"],
)
def test_key_that_no_header_can_carry_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMBA_AUTH__API_KEYS__0__NAME", "app")
    monkeypatch.setenv("MAMBA_AUTH__API_KEYS__0__KEY", key)

    with pytest.raises(SettingsError, match="visible ASCII characters") as raised:
        load_settings()
    assert "auth.api_keys.0.key" in str(raised.value)
    assert KEY not in str(raised.value)
