"""Arbitrary request heads: the API answers each with a client error at worst, and stays alive."""

import socket
from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.processes import Api, Valkey, running

PATHS = [
    *("/", "*", "/chat", "/chat/a/stream", "/chat/a/stop", "/health", "/docs/", "/ops/x", "?x"),
    *("/chat/%ff%00/stream", "//", "http://evil.example/chat", "/metrics", "/title/generate"),
]
NAMES = [
    *("host", "origin", "authorization", "x-api-key", "content-type", "content-length", "accept"),
    *("last-event-id", "idempotency-key", "x-request-id", "traceparent", "sec-fetch-site"),
    *("transfer-encoding", "content-encoding", "access-control-request-method", "expect"),
    *(
        "access-control-request-headers",
        "access-control-request-private-network",
        "x-forwarded-for",
    ),
    *("x-forwarded-proto", "if-none-match", "connection", "upgrade", "range"),
]
VALUES = [
    *("localhost", "null", "true", "Bearer x", "application/json", "chunked", "100-continue", "0"),
    *("text/event-stream; profile=basic", "1-1@x", "POST", "cross-site", "https://evil.example"),
]
TOKENS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
FIELDS = st.tuples(
    (st.sampled_from(NAMES) | TOKENS).map(str.encode),
    st.sampled_from(VALUES).map(str.encode) | st.binary(max_size=24),
)
METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"PUT"]) | TOKENS.map(str.encode)
TARGETS = st.sampled_from(PATHS).map(str.encode) | st.binary(max_size=24)


@st.composite
def request_heads(draw: st.DrawFn) -> bytes:
    fields = draw(st.lists(FIELDS, max_size=6))
    lines = [b"%b: %b" % field for field in fields]
    request_line = b"%b %b HTTP/1.1" % (draw(METHODS), draw(TARGETS))
    return b"\r\n".join([request_line, *lines, b"", b""])


@pytest.fixture(scope="module")
def api(valkey: Valkey) -> Generator[Api]:
    env = {"MAMBA_SERVER__CORS_ORIGINS": '["https://chat.example"]'}
    with running(Api(valkey.url, env)) as process:
        yield process


def status_of(api: Api, head: bytes, *, seconds: float = 0.5) -> int | None:
    """Send the head, and return the status of the response; None if there is none in time."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=seconds) as client:
        client.sendall(head)
        try:
            client.shutdown(socket.SHUT_WR)
            received = client.recv(64)
        except OSError:
            return None
    return int(received[9:12]) if received.startswith(b"HTTP/1.1 ") else None


@given(request_heads())
def test_arbitrary_head_gets_a_client_error_at_worst(api: Api, head: bytes) -> None:
    status = status_of(api, head)

    # 503: there is no worker, which `GET /health` reports.
    assert status is None or status < 500 or status == 503, (head, status)
    health = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert status_of(api, health, seconds=30) == 200
    assert "request.failed" not in api.output
