"""Fetches the public keys of a token issuer.

The URL may serve a key set (RFC 7517), the issuer's discovery document (OpenID Connect Discovery,
RFC 8414), which names the URL of the key set, or certificates by key id, as Google does. Redirects
are followed, but never from https to http.
"""

import asyncio
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from ssl import SSLContext
from typing import Any, NamedTuple, TypeGuard, cast
from urllib.parse import urljoin, urlsplit

import httpx2

from api.auth.signing_key import SigningKey, from_jwk, from_pem

FETCH_SECONDS = 5.0
_MAX_BYTES = 1024 * 1024
_TOO_LARGE = f"the response is larger than {_MAX_BYTES:,} bytes"
#: The window size for zlib that detects the format.
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_MAX_KEYS = 1000
#: Redirects and discovery documents on the way to the key set.
_MAX_HOPS = 4
_MAX_LOGGED = 100
_REDIRECTS = (301, 302, 303, 307, 308)


class UnusableKeySetError(Exception):
    """The response of a key-set URL is unusable. Its fields are for the log."""

    def __init__(
        self, reason: str, url: str, status: int | None = None, content_type: str | None = None
    ) -> None:
        super().__init__(reason)
        self.url = _loggable(url)
        self.status = status
        self.content_type = content_type and content_type[:_MAX_LOGGED]


class FetchedKeys(NamedTuple):
    keys: Sequence[SigningKey]
    #: Why other keys of the set cannot verify tokens.
    skipped: Sequence[str]


class ReceivedKeySet(NamedTuple):
    status: int
    content_type: str
    location: str | None
    body: bytes
    encoding: str = ""


class KeySetSource:
    """The keys behind a URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._tls: SSLContext | None = None

    async def fetch(self) -> FetchedKeys:
        """Raises UnusableKeySetError if there is no key that can verify a token."""
        url = self._url
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                # Slow: loads the system's certificates.
                self._tls = self._tls or await asyncio.to_thread(httpx2.create_ssl_context)
                for _ in range(_MAX_HOPS):
                    received = await _get(url, self._tls)
                    found = await asyncio.to_thread(read_response, received, url)
                    if isinstance(found, FetchedKeys):
                        return found
                    url = found
        except TimeoutError:
            raise UnusableKeySetError(f"no response within {FETCH_SECONDS:g} s", url) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise UnusableKeySetError(type(error).__name__, url) from None
        raise UnusableKeySetError("too many redirects", url)


async def _get(url: str, tls: SSLContext) -> ReceivedKeySet:
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    body = b""
    async with (
        httpx2.AsyncClient(verify=tls, timeout=FETCH_SECONDS, headers=headers) as client,
        client.stream("GET", url) as response,
    ):
        content_type = response.headers.get("content-type", "")
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > _MAX_BYTES:
                raise UnusableKeySetError(_TOO_LARGE, url, response.status_code, content_type)
    return ReceivedKeySet(
        response.status_code,
        content_type,
        response.headers.get("location"),
        body,
        response.headers.get("content-encoding", ""),
    )


def read_response(received: ReceivedKeySet, url: str) -> FetchedKeys | str:
    """Return the keys, or the URL that the response refers to."""
    try:
        if received.status in _REDIRECTS and received.location:
            return next_url(url, received.location)
        document = _parse(received)
        if "keys" not in document and isinstance(reference := document.get("jwks_uri"), str):
            return next_url(url, reference)
        return _read_keys(document)
    except ValueError as error:
        raise UnusableKeySetError(str(error), url, received.status, received.content_type) from None


def next_url(url: str, reference: str) -> str:
    target = urljoin(url, reference)
    allowed = ("https",) if urlsplit(url).scheme == "https" else ("https", "http")
    if urlsplit(target).scheme not in allowed:
        raise ValueError("it refers to a URL that is not https")
    return target


def _parse(received: ReceivedKeySet) -> dict[str, Any]:
    if received.status != 200:
        raise ValueError(f"the response has status {received.status}")
    body = _decompressed(received.body, received.encoding.strip().lower())
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the response is not JSON") from None
    if not isinstance(document, dict):
        raise ValueError("the response is not a JSON object")  # noqa: TRY004  (foreign data)
    return cast("dict[str, Any]", document)


def _decompressed(body: bytes, encoding: str) -> bytes:
    """Decompress a body. Some file servers compress it even if the request does not accept that.

    Like browsers, ignore names that are no compression, such as `utf-8` and `aws-chunked`.
    """
    if encoding in ("br", "zstd", "compress"):
        raise ValueError("the response is compressed in an unsupported way")
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return body
    try:
        content = zlib.decompressobj(_GZIP_OR_ZLIB).decompress(body, _MAX_BYTES + 1)
    except zlib.error:
        raise ValueError("the response cannot be decompressed") from None
    if len(content) > _MAX_BYTES:
        raise ValueError(_TOO_LARGE)
    return content


def _read_keys(document: dict[str, Any]) -> FetchedKeys:
    """Raises ValueError if there are none, so that such a response never replaces cached keys."""
    found = list(_signing_keys(document))
    keys = [key for key in found if isinstance(key, SigningKey)]
    skipped = [reason for reason in found if isinstance(reason, str)]
    if not found:
        raise ValueError("the key set is empty")
    if not keys:
        reasons = "; ".join(sorted(set(skipped)))
        raise ValueError(f"none of its {len(skipped)} keys can verify a token: {reasons}")
    return FetchedKeys(keys, skipped)


def _signing_keys(document: dict[str, Any]) -> Iterator[SigningKey | str]:
    """Yield each key, or the reason why it cannot verify tokens."""
    entries: object = document.get("keys")
    if isinstance(entries, list):
        for jwk in cast("list[object]", entries)[:_MAX_KEYS]:
            yield _key_or_reason(lambda jwk=jwk: from_jwk(jwk))
        return
    certificates = {kid: pem for kid, pem in document.items() if _is_certificate(pem)}
    if not certificates:
        raise ValueError("the response is not a key set: it has no list `keys`")
    for kid, pem in certificates.items():
        yield _key_or_reason(lambda kid=kid, pem=pem: from_pem(pem)._replace(id=kid))


def _is_certificate(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and "BEGIN CERTIFICATE" in value


def _key_or_reason(read: Callable[[], SigningKey]) -> SigningKey | str:
    try:
        return read()
    except ValueError as error:
        return str(error)


def _loggable(url: str) -> str:
    """Return the URL without a login and a query, which may be secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:_MAX_LOGGED]
