"""The limits on responses: size, compression and redirects."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest

from worker.models.transport import http_transport
from worker.models.transport.http_transport import LimitedTransport
from worker.models.transport.unusable_response import UnusableResponse

URL = "http://models.test/v1/models"
Handler = Callable[[httpx2.Request], httpx2.Response]


class Pieces(httpx2.AsyncByteStream):
    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.sent += len(piece)
            yield piece


class Server(httpx2.AsyncBaseTransport):
    """Answers requests with a function."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self.requests: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return self._handle(request)


async def send(handle: Handler, method: str = "GET", url: str = URL) -> httpx2.Response:
    transport = LimitedTransport(Server(handle))
    async with httpx2.AsyncClient(transport=transport, follow_redirects=True) as client:
        return await client.request(method, url, headers={"authorization": "Bearer sk"})


async def reason_of(handle: Handler, method: str = "GET") -> str | None:
    with pytest.raises(UnusableResponse) as raised:
        await send(handle, method)
    return raised.value.upstream.reason


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP "])
async def test_compressed_response_is_read(encoding: str) -> None:
    pack = gzip.compress if encoding.strip().lower() == "gzip" else zlib.compress
    headers = {"content-encoding": encoding, "content-length": "9"}
    answer = await send(lambda _: httpx2.Response(200, headers=headers, stream=Pieces(pack(b"hi"))))
    assert answer.text == "hi"


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pieces"),
    [
        ("deflate", [raw_deflate(b"hello")]),
        ("gzip, identity", [gzip.compress(b"hello")]),
        ("gzip", [gzip.compress(b"hel"), gzip.compress(b"lo")]),
        ("gzip", [gzip.compress(b"hel") + gzip.compress(b"lo") + bytes(8)]),
        ("utf-8", [b"hello"]),
        ("none", [b"hello"]),
        ("", [b"hello"]),
    ],
)
async def test_unusual_encoding_is_read(encoding: str, pieces: list[bytes]) -> None:
    headers = {"content-encoding": encoding}
    answer = await send(lambda _: httpx2.Response(200, headers=headers, stream=Pieces(*pieces)))
    assert answer.text == "hello"


async def test_small_compressed_response_cannot_become_large() -> None:
    bomb = gzip.compress(bytes(64 * 2**20))
    stream = Pieces(*(bomb[i : i + 1000] for i in range(0, len(bomb), 1000)))
    answer = httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=stream)
    assert await reason_of(lambda _: answer) == "too_large"
    assert stream.sent < len(bomb) / 8


@pytest.mark.parametrize("data", [b"not gzip", gzip.compress(b"x", mtime=0)[:12] + b"\xff" * 20])
async def test_broken_compression_is_unusable(data: bytes) -> None:
    headers = {"content-encoding": "gzip"}
    answer = httpx2.Response(200, headers=headers, stream=Pieces(data))
    assert await reason_of(lambda _: answer) == "not_a_completion"


@pytest.mark.parametrize("encoding", ["zstd", "BR", "gzip, br", "gzip, gzip"])
async def test_unsupported_encoding_is_unusable(encoding: str) -> None:
    answer = httpx2.Response(200, headers={"content-encoding": encoding}, stream=Pieces(b"x"))
    assert await reason_of(lambda _: answer) == "not_a_completion"


@pytest.mark.parametrize(
    ("method", "limit"), [("GET", "MAX_LIST_BYTES"), ("POST", "MAX_ANSWER_BYTES")]
)
async def test_endless_response_is_refused(
    method: str, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_transport, limit, 1000)
    stream = Pieces(*[b"x" * 100] * 1000)
    assert await reason_of(lambda _: httpx2.Response(200, stream=stream), method) == "too_large"
    assert stream.sent <= 1200


async def test_endless_error_response_is_cut_off() -> None:
    stream = Pieces(*[b"x" * 10_000] * 1000)
    answer = await send(lambda _: httpx2.Response(502, stream=stream))
    assert (answer.status_code, len(answer.content)) == (502, http_transport.MAX_ERROR_BYTES)


def redirect_to(location: str, status: int = 307) -> Handler:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if str(request.url) == URL:
            return httpx2.Response(status, headers={"location": location}, stream=Pieces())
        return httpx2.Response(200, stream=Pieces(str(request.url).encode()))

    return handle


@pytest.mark.parametrize(
    "location",
    [
        "http://evil.test/v1/models",
        "https://models.test/v1/models",
        "http://models.test:8080/v1/models",
        "//evil.test",
        "http://models.test@evil.test/",
        "file:///etc/passwd",
        "http://[",
    ],
)
async def test_redirect_to_another_origin_is_refused(location: str) -> None:
    assert await reason_of(redirect_to(location)) == "redirect"
    assert await reason_of(redirect_to(location), "POST") == "redirect"


async def test_target_of_a_refused_redirect_is_reported() -> None:
    with pytest.raises(UnusableResponse) as raised:
        await send(redirect_to("https://u:p@models.test/v1?key=sk", 301))
    assert raised.value.upstream.location == "https://models.test"
    assert "models.test" not in str(raised.value)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_redirect_within_the_origin_is_followed(method: str) -> None:
    answer = await send(redirect_to("/v1/models/"), method)
    assert answer.text == "http://models.test/v1/models/"


async def test_redirect_that_drops_the_body_is_refused() -> None:
    assert await reason_of(redirect_to("/v1/models/", 302), "POST") == "redirect"
