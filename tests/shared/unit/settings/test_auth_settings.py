"""Invalid combinations of authentication settings are rejected with the fix."""

import json
from typing import Any

import pytest

from shared.api_key import hash_of, new_api_key
from shared.errors import SettingsError
from shared.settings import Settings, load_settings
from tests.support.auth.credentials import RSA, SECRET

KEY = new_api_key()
HASH = hash_of(KEY)
URL = "https://issuer.example/jwks.json"


@pytest.fixture(autouse=True)
def no_settings_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Ignore the settings files of this machine."""
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    monkeypatch.chdir(tmp_path)


def jwt(**settings: Any) -> dict[str, Any]:
    return {"mode": "jwt", "jwt": settings}


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "neither key nor hash": ({"api_keys": [{"name": "a"}]}, "Set exactly one of `key` and `hash`"),
    "key and hash": (
        {"api_keys": [{"name": "a", "key": KEY, "hash": HASH}]},
        "Set exactly one of `key` and `hash`",
    ),
    "a short key": ({"api_keys": [{"name": "a", "key": "hunter2"}]}, "shorter than 8"),
    "two keys with one name": (
        {"api_keys": [{"name": "a", "key": KEY}, {"name": "a", "hash": hash_of("x")}]},
        "duplicate name a",
    ),
    "duplicate key": (
        {"api_keys": [{"name": "a", "key": KEY}, {"name": "b", "hash": HASH}]},
        "two entries have the same key",
    ),
    "an invalid hash": ({"api_keys": [{"name": "a", "hash": "sha256:x"}]}, "auth.api_keys.0.hash"),
    "no key material": (jwt(), "contains RS256. Set auth.jwt.public_key, auth.jwt.public_key_file"),
    "HS without a secret": (jwt(algorithms=["HS256"]), "contains HS256. Set auth.jwt.secret"),
    "HS with a public key only": (
        jwt(algorithms=["HS256"], public_key=RSA.public_pem),
        "contains HS256. Set auth.jwt.secret",
    ),
    "HS with a key set only": (jwt(algorithms=["HS256"], jwks_url=URL), "Set auth.jwt.secret"),
    "HS and a key set": (
        jwt(algorithms=["HS256"], secret=SECRET, jwks_url=URL),
        "auth.jwt.jwks_url is set, but auth.jwt.algorithms contains only HS256",
    ),
    "RS with a secret only": (jwt(secret=SECRET), "contains RS256. Set auth.jwt.public_key"),
    "RS and a secret": (
        jwt(secret=SECRET, jwks_url=URL),
        "auth.jwt.secret is set, but auth.jwt.algorithms contains only RS256",
    ),
    "two public keys": (
        jwt(public_key=RSA.public_pem, jwks_url=URL),
        "auth.jwt.public_key and auth.jwt.jwks_url cannot be combined",
    ),
    "a short secret": (
        jwt(algorithms=["HS256", "HS512"], secret=SECRET),
        "Set a secret of at least 64 bytes",
    ),
    "no algorithm": (jwt(algorithms=[]), "auth.jwt.algorithms"),
    "the algorithm none": (jwt(algorithms=["none"]), "auth.jwt.algorithms.0"),
    "a file URL": (jwt(jwks_url="file:///etc/passwd"), "auth.jwt.jwks_url"),
}


@pytest.mark.parametrize(("auth", "expected"), INVALID.values(), ids=INVALID.keys())
def test_invalid_settings_are_rejected_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, auth: dict[str, Any], expected: str
) -> None:
    for name, value in auth.items():
        text = value if isinstance(value, str) else json.dumps(value)
        monkeypatch.setenv(f"MAMBA_AUTH__{name.upper()}", text)

    with pytest.raises(SettingsError) as raised:
        load_settings()

    assert expected in str(raised.value)
    for secret in (KEY, SECRET, "hunter2"):
        assert secret not in str(raised.value)


VALID: list[dict[str, Any]] = [
    {"mode": "none", "jwt": {"algorithms": ["HS256"]}},
    {"mode": "api_key"},
    {"mode": "api_key", "api_keys": [{"name": "a", "key": KEY}]},
    {"mode": "api_key", "api_keys": [{"name": "a", "key": "hunter2-hunter2"}]},
    jwt(algorithms=["HS256"], secret=SECRET),
    jwt(jwks_url=URL),
    jwt(algorithms=["HS256", "RS256"], secret=SECRET, jwks_url=URL),
]


@pytest.mark.parametrize("auth", VALID)
def test_valid_settings_are_accepted(auth: dict[str, Any]) -> None:
    assert Settings(auth=auth).auth.mode == auth["mode"]  # pyright: ignore[reportArgumentType]  (unparsed, as in a settings file)


def test_expiry_without_time_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = f'[{{"name": "a", "hash": "{HASH}", "expires_at": "2030-01-01T00:00:00"}}]'
    monkeypatch.setenv("MAMBA_AUTH__API_KEYS", entry)

    [key] = load_settings().auth.api_keys

    assert key.expires_at is not None
    assert key.expires_at.isoformat() == "2030-01-01T00:00:00+00:00"


def test_repr_contains_no_secret() -> None:
    auth = {"api_keys": [{"name": "a", "key": KEY}], "jwt": {"secret": SECRET}}
    settings = Settings(auth=auth)  # pyright: ignore[reportArgumentType]  (unparsed, as in a settings file)

    for text in (repr(settings), settings.model_dump_json()):
        assert KEY not in text
        assert SECRET not in text
