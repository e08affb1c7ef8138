"""A chat client with minimal overhead: it reads bytes, and parses them afterwards."""

import asyncio
import json
import time
from typing import NamedTuple
from urllib.parse import urlsplit


class MeasuredAnswer(NamedTuple):
    """Times are in seconds since the request."""

    first_token: float
    duration: float
    words: int


async def ask(url: str, model: str) -> MeasuredAnswer:
    """Send one request over a new connection, and read the whole answer."""
    parts = urlsplit(url)
    message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "Go"}]}
    body = json.dumps(
        {"id": f"c{time.perf_counter_ns()}", "model": model, "messages": [message]}
        | {"trigger": "submit-message"}
    ).encode()
    head = (
        f"POST {parts.path}?model={model} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    start = time.perf_counter()
    writer.write(head.encode() + body)
    first, chunks, tail = 0.0, list[bytes](), b""
    while b"[DONE]" not in tail:
        chunk = await reader.read(65_536)
        if not chunk:
            raise ConnectionError(b"".join(chunks)[-500:].decode())
        chunks.append(chunk)
        tail = tail[-16:] + chunk
        if not first and b"text-delta" in tail:
            first = time.perf_counter() - start
    duration = time.perf_counter() - start
    writer.close()
    return MeasuredAnswer(first, duration, _words(b"".join(chunks)))


def _words(raw: bytes) -> int:
    """Count the words, and check that none of `w0 w1 …` is missing."""
    lines = _unchunked(raw).decode().split("\n")
    events = [json.loads(line[6:]) for line in lines if line.startswith('data: {"')]
    words = "".join(e["delta"] for e in events if e["type"] == "text-delta").split()
    if words != [f"w{n}" for n in range(len(words))]:
        raise ValueError("words are lost or out of order")
    return len(words)


def _unchunked(raw: bytes) -> bytes:
    """Decode the body of a chunked HTTP/1.1 response (RFC 9112, section 7.1)."""
    _, _, rest = raw.partition(b"\r\n\r\n")
    body: list[bytes] = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body.append(rest[:length])
        rest = rest[length + 2 :]
    return b"".join(body)
