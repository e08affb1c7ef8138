"""Authenticates requests according to the current settings. Failures never grant access."""

from collections.abc import Iterator
from typing import Protocol

import structlog
from starlette.types import Scope

from api.auth.anonymous import AnonymousAuthenticator
from api.auth.api_keys import ApiKeyAuthenticator
from api.auth.key_file import KeyFile
from api.auth.key_set import KeySet
from api.auth.principal import Principal
from api.auth.signing_key import SigningKey, from_pem, from_secret
from api.auth.tokens import KeySource, StaticKeys, TokenAuthenticator
from shared.errors import SettingsError, Unavailable
from shared.settings import AuthSettings, JwtSettings, Settings
from shared.settings.live_settings import LiveSettings

log = structlog.stdlib.get_logger()


class _ModeAuthenticator(Protocol):
    async def identify(self, scope: Scope) -> Principal: ...


class Authenticator:
    """Identifies principals, and follows changes of the settings.

    Raises:
        SettingsError: if a key in the settings cannot be read.
    """

    def __init__(self, live: LiveSettings) -> None:
        self._live = live
        self._auth = live.now.auth
        self._key_set: KeySet | None = None
        self._mode = self._build(self._auth)
        live.on_change(self._change)

    async def identify(self, scope: Scope) -> Principal:
        """Return the principal of a request.

        Raises:
            Unauthenticated: if the credentials are missing or invalid.
            Forbidden: if the origin of the request is untrusted.
            Unavailable: if the credentials cannot be checked at the moment.
        """
        return await self._mode.identify(scope)

    def _change(self, settings: Settings) -> None:
        """Apply changed settings. Unusable ones are logged, and never grant access."""
        before, after = self._auth, settings.auth
        if after == before:
            return
        if after.mode == "none" and before.mode != "none":
            # A missing or half-written settings file has the same effect.
            _log_rejected_change("auth.mode changed to none: restart the API to apply it")
            return
        if before.mode == after.mode == "api_key" and not after.api_keys:
            _log_rejected_change("auth.api_keys is empty: restart the API to apply it")
            return
        try:
            self._mode = self._build(after)
        except SettingsError as error:
            _log_rejected_change(str(error))
            if before.mode == after.mode:
                return
            self._mode = _RejectAll()
        self._auth = after
        log.info(
            "auth.changed",
            message="Authentication settings changed",
            mode=after.mode,
            keys=len(after.api_keys),
        )

    def _build(self, auth: AuthSettings) -> _ModeAuthenticator:
        match auth.mode:
            case "none":
                return AnonymousAuthenticator(self._live)
            case "api_key":
                return ApiKeyAuthenticator(auth.api_keys)
            case "jwt":
                sources = list(self._sources(auth.jwt))
                return TokenAuthenticator(auth.jwt, sources)

    def _sources(self, jwt: JwtSettings) -> Iterator[KeySource]:
        if jwt.secret is not None:
            yield StaticKeys(from_secret(jwt.secret.get_secret_value()))
        if jwt.public_key is not None:
            yield StaticKeys(_public_key(jwt, jwt.public_key))
        if jwt.public_key_file is not None:
            yield _key_file(jwt)
        if jwt.jwks_url is not None:
            yield self._key_set_of(jwt.jwks_url, jwt.jwks_cache_seconds)

    def _key_set_of(self, url: str, cache_seconds: float) -> KeySet:
        """Return the existing key set with its cached keys, unless its settings changed."""
        key_set = self._key_set
        if key_set is None or (key_set.url, key_set.cache_seconds) != (url, cache_seconds):
            key_set = self._key_set = KeySet(url, cache_seconds=cache_seconds)
        return key_set


class _RejectAll:
    """Rejects every request while authentication is misconfigured."""

    async def identify(self, scope: Scope) -> Principal:  # noqa: ARG002
        raise Unavailable("Authentication is misconfigured. The API's log has the reason.")


def _log_rejected_change(reason: str) -> None:
    log.error(
        "auth.change_refused",
        message="Changed authentication settings were not applied",
        error=reason,
    )


def _public_key(jwt: JwtSettings, text: str) -> SigningKey:
    try:
        key = from_pem(text)
    except ValueError as error:
        raise SettingsError(f"auth.jwt.public_key cannot be used: {error}.") from None
    _check_algorithms("auth.jwt.public_key", jwt, key)
    return key


def _key_file(jwt: JwtSettings) -> KeyFile:
    path = jwt.public_key_file
    assert path is not None  # noqa: S101  (checked by the caller)
    try:
        file = KeyFile(path)
    except OSError as error:
        raise SettingsError(
            f"auth.jwt.public_key_file: {path} cannot be read: {error.strerror}."
        ) from None
    except ValueError as error:
        raise SettingsError(f"auth.jwt.public_key_file: {path} cannot be used: {error}.") from None
    _check_algorithms("auth.jwt.public_key_file", jwt, file.key)
    return file


def _check_algorithms(setting: str, jwt: JwtSettings, key: SigningKey) -> None:
    """Fail on an algorithm that the key cannot verify: it would reject every token silently."""
    public = {name for name in jwt.algorithms if not name.startswith("HS")}
    if unsupported := sorted(public - key.algorithms):
        raise SettingsError(
            f"{setting} cannot verify {', '.join(unsupported)}: "
            f"set auth.jwt.algorithms to {' or '.join(sorted(key.algorithms))}."
        )
