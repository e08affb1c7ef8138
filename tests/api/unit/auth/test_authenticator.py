"""Authentication follows changed settings and key files, and failures never grant access."""

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from api.auth import key_file
from api.auth.auth_errors import AuthError
from api.auth.authenticator import Authenticator
from api.auth.principal import owner_id
from shared.api_key import new_api_key
from shared.errors import MambaError, SettingsError, Unavailable
from shared.settings import Settings
from shared.settings.live_settings import LiveSettings
from tests.support.auth.credentials import (
    OTHER_RSA,
    P256,
    RSA,
    SECRET,
    Json,
    bearer_scope,
    request_scope,
    secret_token,
)
from tests.support.auth.token_issuer import open_issuer

OLD, NEW = new_api_key(), new_api_key()


def settings(**auth: Any) -> Settings:
    return Settings(auth=auth)  # pyright: ignore[reportArgumentType]  (unparsed, as in a settings file)


def with_api_key(key: str) -> Settings:
    return settings(mode="api_key", api_keys=[{"name": "app", "key": key}])


def with_key_file(path: Path, **jwt: Any) -> Settings:
    return settings(mode="jwt", jwt={"public_key_file": str(path), **jwt})


async def is_accepted(authenticator: Authenticator, scope: Json) -> bool:
    try:
        await authenticator.identify(scope)
    except AuthError:
        return False
    return True


def api_key_scope(key: str) -> Json:
    return request_scope(x_api_key=key)


async def test_each_mode_identifies_its_principals(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(RSA.public_pem)
    anonymous = Authenticator(LiveSettings(settings()))
    keys = Authenticator(LiveSettings(with_api_key(OLD)))
    tokens = Authenticator(LiveSettings(with_key_file(tmp_path / "key.pem")))

    assert (await anonymous.identify(request_scope())).owner == owner_id("none", "anonymous")
    assert (await keys.identify(api_key_scope(OLD))).owner == owner_id("api_key", "app")
    assert (await tokens.identify(bearer_scope(RSA.token()))).owner == owner_id("jwt", "ann")


async def test_changed_api_key_applies_without_restart() -> None:
    live = LiveSettings(with_api_key(OLD))
    authenticator = Authenticator(live)

    live.replace(with_api_key(NEW))

    assert await is_accepted(authenticator, api_key_scope(NEW))
    assert not await is_accepted(authenticator, api_key_scope(OLD))


async def test_change_to_mode_none_needs_a_restart() -> None:
    live = LiveSettings(with_api_key(OLD))
    authenticator = Authenticator(live)

    with capture_logs() as logs:
        live.replace(settings())

    assert not await is_accepted(authenticator, request_scope())
    assert await is_accepted(authenticator, api_key_scope(OLD))
    assert logs[0]["event"] == "auth.change_refused"


async def test_removal_of_all_keys_needs_a_restart() -> None:
    live = LiveSettings(with_api_key(OLD))
    authenticator = Authenticator(live)

    with capture_logs() as logs:
        live.replace(settings(mode="api_key"))

    assert await is_accepted(authenticator, api_key_scope(OLD))
    assert "auth.api_keys is empty" in logs[0]["error"]


async def test_without_keys_every_request_is_rejected() -> None:
    authenticator = Authenticator(LiveSettings(settings(mode="api_key")))

    for scope in (request_scope(), api_key_scope(OLD), api_key_scope("")):
        assert not await is_accepted(authenticator, scope)


async def test_unusable_settings_keep_the_current_keys(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(RSA.public_pem)
    live = LiveSettings(with_key_file(tmp_path / "key.pem"))
    authenticator = Authenticator(live)

    with capture_logs() as logs:
        live.replace(with_key_file(tmp_path / "no.pem"))

    assert await is_accepted(authenticator, bearer_scope(RSA.token()))
    assert not await is_accepted(authenticator, bearer_scope(OTHER_RSA.token()))
    assert "no.pem cannot be read" in logs[0]["error"]


@pytest.mark.parametrize("before", [settings(), with_api_key(OLD)], ids=["none", "api_key"])
async def test_unusable_new_mode_rejects_every_request(before: Settings, tmp_path: Path) -> None:
    live = LiveSettings(before)
    authenticator = Authenticator(live)

    live.replace(with_key_file(tmp_path / "no.pem"))
    for scope in (request_scope(), api_key_scope(OLD), bearer_scope(RSA.token())):
        with pytest.raises(Unavailable):
            await authenticator.identify(scope)

    (tmp_path / "key.pem").write_text(RSA.public_pem)
    live.replace(with_key_file(tmp_path / "key.pem"))
    assert await is_accepted(authenticator, bearer_scope(RSA.token()))
    assert not await is_accepted(authenticator, api_key_scope(OLD))


async def test_changed_claims_keep_the_cached_key_set() -> None:
    async with open_issuer() as issuer:
        issuer.serve(RSA.jwk("a"))
        token = bearer_scope(RSA.token(headers={"kid": "a"}))
        live = LiveSettings(settings(mode="jwt", jwt={"jwks_url": issuer.url}))
        authenticator = Authenticator(live)
        assert await is_accepted(authenticator, token)

        live.replace(settings(mode="jwt", jwt={"jwks_url": issuer.url, "leeway_seconds": 60}))
        assert await is_accepted(authenticator, token)
        live.replace(settings(mode="jwt", jwt={"jwks_url": issuer.url, "audience": ["me"]}))
        assert not await is_accepted(authenticator, token)

        assert issuer.fetch_count == 1


# Key files


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key file that is checked on every request."""
    monkeypatch.setattr(key_file, "_CHECK_INTERVAL_SECONDS", 0)
    path = tmp_path / "key.pem"
    path.write_text(RSA.public_pem)
    return path


def replace(path: Path, text: str | None) -> None:
    """Replace the file atomically, or delete it if the text is None."""
    if text is None:
        path.unlink()
        return
    new_path = path.with_suffix(".new")
    new_path.write_text(text)
    new_path.replace(path)


async def test_changed_key_file_applies_without_restart(file: Path) -> None:
    authenticator = Authenticator(LiveSettings(with_key_file(file)))
    assert await is_accepted(authenticator, bearer_scope(RSA.token()))

    replace(file, OTHER_RSA.public_pem)

    assert await is_accepted(authenticator, bearer_scope(OTHER_RSA.token()))
    assert not await is_accepted(authenticator, bearer_scope(RSA.token()))


UNREADABLE = {"gone": None, "empty": "", "half": "half a key", "private": RSA.private_pem}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_unreadable_key_file_keeps_the_current_key(file: Path, text: str | None) -> None:
    authenticator = Authenticator(LiveSettings(with_key_file(file)))

    replace(file, text)

    assert await is_accepted(authenticator, bearer_scope(RSA.token()))
    assert not await is_accepted(authenticator, bearer_scope(OTHER_RSA.token()))


# Start-up


UNUSABLE: dict[str, tuple[str | None, Json, str]] = {
    "no file": (None, {}, "key.pem cannot be read: No such file"),
    "no key": ("hello", {}, "key.pem cannot be used: it is not a PEM public key"),
    "a private key": (RSA.private_pem, {}, "a private key, but verification needs"),
    "a key of another type": (P256.public_pem, {}, "set auth.jwt.algorithms to ES256"),
    "a key that lacks an algorithm": (
        RSA.public_pem,
        {"algorithms": ["RS256", "EdDSA"]},
        "cannot verify EdDSA",
    ),
}


@pytest.mark.parametrize(("text", "jwt", "expected"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_unusable_key_file_fails_at_start(
    tmp_path: Path, text: str | None, jwt: Json, expected: str
) -> None:
    path = tmp_path / "key.pem"
    if text is not None:
        path.write_text(text)

    with pytest.raises(MambaError, match=r"^auth\.jwt\.public_key_file") as raised:
        Authenticator(LiveSettings(with_key_file(path, **jwt)))

    assert isinstance(raised.value, SettingsError)
    assert expected in str(raised.value)


def test_unusable_key_fails_at_start_without_revealing_it() -> None:
    with pytest.raises(SettingsError, match=r"^auth\.jwt\.public_key cannot be used") as raised:
        Authenticator(LiveSettings(settings(mode="jwt", jwt={"public_key": RSA.private_pem})))

    assert RSA.private_pem[40:80] not in str(raised.value)


async def test_secret_and_public_key_can_be_combined() -> None:
    both = {"algorithms": ["HS256", "RS256"], "secret": SECRET, "public_key": RSA.public_pem}
    authenticator = Authenticator(LiveSettings(settings(mode="jwt", jwt=both)))

    assert await is_accepted(authenticator, bearer_scope(RSA.token()))
    assert await is_accepted(authenticator, bearer_scope(secret_token()))
