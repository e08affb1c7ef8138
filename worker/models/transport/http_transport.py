"""Limits on what a model server may send, whatever reads it.

Responses are limited in size after decompression. Redirects are followed only within the origin of
the request, because they would carry its keys and its body elsewhere.
"""

import zlib
from collections.abc import AsyncIterator, Iterator

import httpx2

from worker.models.transport.unusable_response import UnusableResponse, unusable
from worker.models.transport.upstream_error import UpstreamError

MEBIBYTE = 2**20
#: Maximum size of an answer. 128,000 tokens of OpenAI, one per chunk, have about 50 MiB.
MAX_ANSWER_BYTES = 128 * MEBIBYTE
#: Maximum size of a response to GET, which is a list of models.
MAX_LIST_BYTES = 4 * MEBIBYTE
#: The part of an error response that is read.
MAX_ERROR_BYTES = 65_536

_PIECE_BYTES = 65_536
_COMPRESSIONS = ("gzip", "x-gzip", "deflate")
_UNSUPPORTED = ("br", "zstd", "compress", "x-compress", "dcb", "dcz")
#: The window sizes for zlib that detect the format, and of data without a header, which some
#: servers send as `deflate`.
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS


class LimitedTransport(httpx2.AsyncBaseTransport):
    """Applies the limits to the responses of another transport."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        try:
            _check_redirect(request, response)
            stream = _limited(request, response)
        except UnusableResponse:
            await response.aclose()
            raise
        headers = [(k, v) for k, v in response.headers.raw if k.lower() not in _REPLACED]
        return httpx2.Response(
            response.status_code,
            headers=headers,
            stream=stream,
            request=request,
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


#: Headers that do not apply to the decoded stream.
_REPLACED = (b"content-encoding", b"content-length")


class LimitedStream(httpx2.AsyncByteStream):
    """Decompresses a stream and limits its size.

    The rest of an error response is dropped, because its status is sufficient. Any other response
    that is too large raises an error.
    """

    def __init__(
        self, response: httpx2.Response, *, max_bytes: int, encoding: str, truncate: bool
    ) -> None:
        self._response = response
        self._max_bytes = max_bytes
        self._truncate = truncate
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB) if encoding else None
        self._may_be_raw = encoding == "deflate"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._max_bytes
        stream = self._response.stream
        assert isinstance(stream, httpx2.AsyncByteStream)  # noqa: S101  (an asynchronous client)
        async for data in stream:
            for piece in self._decode(data):
                if len(piece) > left:
                    yield piece[:left]
                    self._check_truncation()
                    return
                left -= len(piece)
                yield piece

    async def aclose(self) -> None:
        await self._response.aclose()

    def _decode(self, data: bytes) -> Iterator[bytes]:
        if self._inflate is None:
            yield data
            return
        while data:
            try:
                piece = self._inflate.decompress(data, _PIECE_BYTES)
            except zlib.error:
                if self._may_be_raw:
                    self._may_be_raw, self._inflate = False, zlib.decompressobj(_RAW)
                    continue
                raise _unusable(
                    "The server sent compressed data that cannot be decompressed.", self._response
                ) from None
            self._may_be_raw = False
            data = self._inflate.unconsumed_tail
            if self._inflate.eof:  # gzip may have several members, and zeros after the last one
                data = self._inflate.unused_data.lstrip(b"\0")
                self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
            yield piece

    def _check_truncation(self) -> None:
        if not self._truncate:
            raise _unusable(
                f"The server sent more than {self._max_bytes} bytes.",
                self._response,
                too_large=True,
            )


def _check_redirect(request: httpx2.Request, response: httpx2.Response) -> None:
    if not response.has_redirect_location:
        return
    target = _redirect_target(request, response)
    # Other redirects of a POST request would repeat it as GET, without its body.
    keeps_method = request.method == "GET" or response.status_code in (307, 308)
    if target is None or not keeps_method or _origin(target) != _origin(request.url):
        upstream = UpstreamError(
            status=response.status_code,
            reason="redirect",
            location=_origin(target) if target else None,
        )
        raise UnusableResponse("The server redirects to another address.", upstream)


def _redirect_target(request: httpx2.Request, response: httpx2.Response) -> httpx2.URL | None:
    try:
        target = request.url.join(response.headers["location"])
    except (httpx2.InvalidURL, ValueError):
        return None
    return target if target.host else None


def _origin(url: httpx2.URL) -> str:
    default = {"http": 80, "https": 443}.get(url.scheme)
    port = f":{url.port}" if url.port not in (None, default) else ""
    return f"{url.scheme}://{url.host}{port}"


def _limited(request: httpx2.Request, response: httpx2.Response) -> LimitedStream:
    encoding = _encoding(response)
    failed = response.status_code >= 400
    if encoding in _UNSUPPORTED:
        raise _unusable("The server sent an unsupported content encoding.", response)
    size = MAX_LIST_BYTES if request.method == "GET" else MAX_ANSWER_BYTES
    return LimitedStream(
        response,
        max_bytes=MAX_ERROR_BYTES if failed else size,
        encoding=encoding,
        truncate=failed,
    )


def _encoding(response: httpx2.Response) -> str:
    """Return the compression of a response. Like browsers, ignore names that are none, as `utf-8`.

    Several compressions are one that is not supported.
    """
    names = response.headers.get("content-encoding", "").lower().split(",")
    known = (*_COMPRESSIONS, *_UNSUPPORTED)
    found = [name for item in names if (name := item.strip()) in known]
    return found[0] if len(found) == 1 else _UNSUPPORTED[0] if found else ""


def _unusable(
    message: str, response: httpx2.Response, *, too_large: bool = False
) -> UnusableResponse:
    return unusable(
        message,
        response.headers.get("content-type"),
        reason="too_large" if too_large else "not_a_completion",
        status=response.status_code,
    )
