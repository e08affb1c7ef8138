"""Fetches and caches the issuer's public keys from its JWKS URL (RFC 7517).

A token with a known key never waits: an expired key set is refreshed in the background. An unknown
`kid` may belong to a new key, so the set is fetched again. Concurrent requests share one fetch, and
fetches are at least `_REFETCH_SECONDS` apart whatever tokens arrive. If the URL does not respond,
cached keys remain valid for `_STALE_SECONDS`.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Sequence
from ssl import SSLContext
from typing import Any, cast

import httpx2
import structlog

from api.auth.signing_key import SigningKey, from_jwk
from shared.errors import Unavailable

log = structlog.stdlib.get_logger()

_FETCH_SECONDS = 5.0
_REFETCH_SECONDS = 10.0
#: The pause between fetches while there are no keys at all.
_RETRY_SECONDS = 2.0
#: An unavailable issuer issues no tokens, and few of its tokens are valid for longer.
_STALE_SECONDS = 3600.0
_MAX_BYTES = 256 * 1024
_MAX_KEYS = 100


class KeySet:
    """The key source of one JWKS URL."""

    def __init__(
        self,
        url: str,
        *,
        cache_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self.cache_seconds = cache_seconds
        self._clock = clock
        self._keys: Sequence[SigningKey] = ()
        self._fetched_at = self._tried_at = -math.inf
        self._fetching: asyncio.Task[None] | None = None
        self._tls: SSLContext | None = None

    async def keys(self, kid: str | None) -> Sequence[SigningKey]:
        """Return the keys with this id, or all keys if `kid` is None.

        Raises:
            Unavailable: if no usable keys are cached and they cannot be fetched.
        """
        if not self._usable:
            await self._refresh(_RETRY_SECONDS)
        elif self._age > self.cache_seconds:
            self._start_fetch(_REFETCH_SECONDS)
        if not self._usable:
            raise Unavailable("The token issuer's keys cannot be fetched. Try again later.")
        if kid is None:
            return self._keys
        if not (found := self._named(kid)):
            await self._refresh(_REFETCH_SECONDS)
            found = self._named(kid)
        return found

    @property
    def _age(self) -> float:
        return self._clock() - self._fetched_at

    @property
    def _usable(self) -> bool:
        return self._age <= self.cache_seconds + _STALE_SECONDS

    def _named(self, kid: str) -> Sequence[SigningKey]:
        return [key for key in self._keys if key.id == kid]

    async def _refresh(self, pause: float) -> None:
        if fetching := self._start_fetch(pause):
            # A cancelled request must not cancel the fetch that others wait for.
            await asyncio.shield(fetching)

    def _start_fetch(self, pause: float) -> asyncio.Task[None] | None:
        """Return the running or a new fetch; None if the last began within `pause` seconds."""
        if self._fetching is None or self._fetching.done():
            if self._clock() - self._tried_at < pause:
                return None
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch(), name="key_set")
        return self._fetching

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                # Slow: loads the system's certificates.
                self._tls = self._tls or await asyncio.to_thread(httpx2.create_ssl_context)
                keys = _parse(await _download(self.url, self._tls))
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            log.warning(
                "auth.key_set_failed",
                message="Issuer's key set cannot be fetched",
                error=type(error).__name__,
                keys=len(self._keys),
            )
            return
        if keys != self._keys:
            log.info("auth.key_set_fetched", message="Issuer's key set fetched", keys=len(keys))
        self._keys, self._fetched_at = keys, self._clock()


async def _download(url: str, tls: SSLContext) -> bytes:
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    body = b""
    async with (
        httpx2.AsyncClient(verify=tls, timeout=_FETCH_SECONDS, headers=headers) as client,
        client.stream("GET", url) as response,
    ):
        if response.status_code != 200:
            raise ValueError("status is not 200")
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > _MAX_BYTES:
                raise ValueError("too large")
    return body


def _parse(body: bytes) -> Sequence[SigningKey]:
    """Return the keys that can verify a token.

    Raises:
        ValueError: if there are none, so that such a response never replaces cached keys.
    """
    try:
        document = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deep") from None
    jwks = cast("dict[str, Any]", document).get("keys") if isinstance(document, dict) else None
    if not isinstance(jwks, list):
        raise ValueError("not a key set")  # noqa: TRY004  (invalid external data)
    keys: list[SigningKey] = []
    for jwk in cast("list[Any]", jwks)[:_MAX_KEYS]:
        try:
            keys.append(from_jwk(jwk))
        except (ValueError, TypeError, AttributeError):
            continue
    if not keys:
        raise ValueError("no key that can verify a token")
    return keys
