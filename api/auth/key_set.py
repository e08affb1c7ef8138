"""Caches the public keys of a token issuer.

A token with a known key never waits: an expired key set is refreshed in the background. An unknown
`kid` may belong to a new key, so the set is fetched again. Concurrent requests share one fetch, and
fetches are at least `_REFETCH_SECONDS` apart whatever tokens arrive. If the URL does not respond,
cached keys remain valid for `_STALE_SECONDS`.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence

import structlog

from api.auth.key_set_source import KeySetSource, UnusableKeySetError
from api.auth.signing_key import SigningKey
from shared.errors import Unavailable

log = structlog.stdlib.get_logger()

_REFETCH_SECONDS = 10.0
#: The pause between fetches while there are no keys at all.
_RETRY_SECONDS = 2.0
#: An unavailable issuer issues no tokens, and few of its tokens are valid for longer.
_STALE_SECONDS = 3600.0


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
        self._source = KeySetSource(url)

    async def keys(self, kid: str | None) -> Sequence[SigningKey]:
        """Return the keys that may have signed a token with this key id.

        Keys without an id may have signed any token, and every key one without `kid`.

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
        found = [key for key in self._keys if key.id == kid]
        return found or [key for key in self._keys if key.id is None]

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
            fetched = await self._source.fetch()
        except UnusableKeySetError as error:
            log.warning(
                "auth.key_set_failed",
                message="Issuer's key set cannot be fetched",
                error=str(error),
                url=error.url,
                status=error.status,
                content_type=error.content_type,
                keys=len(self._keys),
            )
            return
        if fetched.keys != self._keys:
            log.info(
                "auth.key_set_fetched",
                message="Issuer's key set fetched",
                keys=len(fetched.keys),
                skipped=len(fetched.skipped),
                reasons=sorted(set(fetched.skipped)),
            )
        self._keys, self._fetched_at = fetched.keys, self._clock()
