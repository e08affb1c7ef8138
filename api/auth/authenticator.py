"""Who a request comes from, by the settings in force. What goes wrong never opens it."""

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


class _Mode(Protocol):
    async def identify(self, scope: Scope) -> Principal: ...


class Authenticator:
    """Raises SettingsError if a key of the settings cannot be read."""

    def __init__(self, live: LiveSettings) -> None:
        self._live = live
        self._auth = live.now.auth
        self._key_set: KeySet | None = None
        self._mode = self._build(self._auth)
        live.on_change(self._change)

    async def identify(self, scope: Scope) -> Principal:
        """Raises Unauthenticated, Forbidden, or Unavailable if it cannot be told."""
        return await self._mode.identify(scope)

    def _change(self, settings: Settings) -> None:
        """Put other settings in force; those that cannot be are logged, and the door stays shut."""
        before, after = self._auth, settings.auth
        if after == before:
            return
        if after.mode == "none" and before.mode != "none":
            # A file that is half written, or gone, says the same: nothing.
            log.error("auth.change_refused", error="auth.mode is none: that takes a restart")
            return
        if before.mode == after.mode == "api_key" and not after.api_keys:
            log.error("auth.change_refused", error="auth.api_keys is empty: that takes a restart")
            return
        try:
            self._mode = self._build(after)
        except SettingsError as error:
            log.error("auth.change_refused", error=str(error))  # noqa: TRY400  (one line says it all)
            if before.mode == after.mode:
                return
            self._mode = _Shut()
        self._auth = after
        log.info("auth.changed", mode=after.mode, keys=len(after.api_keys))

    def _build(self, auth: AuthSettings) -> _Mode:
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
        """The one at hand, with the keys it has, where its settings are the same."""
        kept = self._key_set
        if kept is None or (kept.url, kept.cache_seconds) != (url, cache_seconds):
            kept = self._key_set = KeySet(url, cache_seconds=cache_seconds)
        return kept


class _Shut:
    """Nobody can be told from anybody until the settings are right."""

    async def identify(self, scope: Scope) -> Principal:  # noqa: ARG002
        raise Unavailable("Authentication is not set up rightly: see the log.")


def _public_key(jwt: JwtSettings, text: str) -> SigningKey:
    try:
        key = from_pem(text)
    except ValueError as error:
        raise SettingsError(f"auth.jwt.public_key cannot be used: {error}.") from None
    _check_algorithms("auth.jwt.public_key", jwt, key)
    return key


def _key_file(jwt: JwtSettings) -> KeyFile:
    path = jwt.public_key_file
    assert path is not None  # noqa: S101  (as its caller has seen)
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
    """An algorithm that the key cannot verify would refuse every token without a word of why."""
    public = {name for name in jwt.algorithms if not name.startswith("HS")}
    if unfit := sorted(public - key.algorithms):
        raise SettingsError(
            f"{setting} cannot verify {', '.join(unfit)}: "
            f"set auth.jwt.algorithms to {' or '.join(sorted(key.algorithms))}."
        )
