"""The issuer's public keys, from its address (a JWKS, RFC 7517), kept and renewed.

A token whose key is known never waits. A key set that has aged is fetched anew beside the requests.
A `kid` that nobody knows may be a new key: the set is fetched again, once for all who ask, and not
more often than every `_REFETCH_SECONDS`, whatever tokens are sent. While the address does not
answer, the keys at hand stay in use, for `_STALE_SECONDS` at most.
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
#: How soon it is asked again where there is no key at all.
_RETRY_SECONDS = 2.0
#: An issuer that is away issues no tokens either, and few of those that it did live longer.
_STALE_SECONDS = 3600.0
_MAX_BYTES = 256 * 1024
_MAX_KEYS = 100


class KeySet:
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
        self._flight: asyncio.Task[None] | None = None
        self._tls: SSLContext | None = None

    async def keys(self, kid: str | None) -> Sequence[SigningKey]:
        """The keys with that id; all of them without one.

        Raises:
            Unavailable: if there are none at hand, and the address does not answer.
        """
        if not self._usable:
            await self._renew(_RETRY_SECONDS)
        elif self._age > self.cache_seconds:
            self._start(_REFETCH_SECONDS)
        if not self._usable:
            raise Unavailable("The keys of the tokens' issuer cannot be fetched right now.")
        if kid is None:
            return self._keys
        if not (found := self._named(kid)):
            await self._renew(_REFETCH_SECONDS)
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

    async def _renew(self, pause: float) -> None:
        if flight := self._start(pause):
            # A client that goes away must not end what the others wait for.
            await asyncio.shield(flight)

    def _start(self, pause: float) -> asyncio.Task[None] | None:
        """The fetch that is under way, or a new one; None if the last was just now."""
        if self._flight is None or self._flight.done():
            if self._clock() - self._tried_at < pause:
                return None
            self._tried_at = self._clock()
            self._flight = asyncio.create_task(self._fetch(), name="key_set")
        return self._flight

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                # Made from the system's certificates, which takes a good while.
                self._tls = self._tls or await asyncio.to_thread(httpx2.create_ssl_context)
                keys = _parse(await _download(self.url, self._tls))
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            log.warning("auth.key_set_failed", error=type(error).__name__, keys=len(self._keys))
            return
        if keys != self._keys:
            log.info("auth.key_set_fetched", keys=len(keys))
        self._keys, self._fetched_at = keys, self._clock()


async def _download(url: str, tls: SSLContext) -> bytes:
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    body = b""
    async with (
        httpx2.AsyncClient(verify=tls, timeout=_FETCH_SECONDS, headers=headers) as client,
        client.stream("GET", url) as response,
    ):
        if response.status_code != 200:
            raise ValueError("not the status 200")
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > _MAX_BYTES:
                raise ValueError("too large")
    return body


def _parse(body: bytes) -> Sequence[SigningKey]:
    """The keys that can verify a token. An answer without any must not empty the set."""
    try:
        document = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deep") from None
    listed = cast("dict[str, Any]", document).get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no key set")  # noqa: TRY004  (a foreign server's mistake, not a caller's)
    keys: list[SigningKey] = []
    for jwk in cast("list[Any]", listed)[:_MAX_KEYS]:
        try:
            keys.append(from_jwk(jwk))
        except (ValueError, TypeError, AttributeError):
            continue
    if not keys:
        raise ValueError("no key that can verify a token")
    return keys
