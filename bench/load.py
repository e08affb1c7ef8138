"""A chat client with minimal overhead: it stores what it reads, and parses it afterwards."""

import asyncio
import json
import re
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from urllib.parse import urlsplit

#: A word of `bench/upstream.py` with the time at which it was sent.
_STAMPED = re.compile(rb"w\d+@(\d+\.\d+)")
_TOKEN = b"text-delta"
_END = b"[DONE]"


@dataclass(frozen=True, slots=True)
class MeasuredAnswer:
    """Times are in seconds. `first_token` and `duration` count from the request."""

    first_token: float
    duration: float
    words: int
    #: When each word was sent, on the monotonic clock, and the time until it was received.
    delays: list[tuple[float, float]]


async def ask(
    url: str, model: str, on_first_token: Callable[[], None] = lambda: None
) -> MeasuredAnswer:
    """Send one request over a new connection, and read the whole answer."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    host, port = parts.hostname or "", parts.port or 80
    transport, client = await loop.create_connection(lambda: _Client(on_first_token), host, port)
    start = time.monotonic()
    transport.write(_request(parts.netloc, parts.path, model))
    try:
        await client.ended
    finally:
        transport.close()
    return _measured(client.reads, start)


class _Client(asyncio.Protocol):
    """Stores what it receives, with the time of each read."""

    def __init__(self, on_first_token: Callable[[], None]) -> None:
        self._on_first_token: Callable[[], None] | None = on_first_token
        self.reads: list[tuple[float, bytes]] = []
        self.ended = asyncio.get_running_loop().create_future()
        self._tail = b""

    def data_received(self, data: bytes) -> None:
        self.reads.append((time.monotonic(), data))
        self._tail = self._tail[-len(_TOKEN) :] + data
        if self._on_first_token and _TOKEN in self._tail:
            self._on_first_token()
            self._on_first_token = None
        if _END in self._tail and not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            received = b"".join(data for _, data in self.reads)[-500:]
            self.ended.set_exception(exc or ConnectionError(received.decode(errors="replace")))


def _request(host: str, path: str, model: str) -> bytes:
    message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "Go"}]}
    body = json.dumps(
        {"id": f"c{time.perf_counter_ns()}", "model": model, "messages": [message]}
        | {"trigger": "submit-message"}
    ).encode()
    head = (
        f"POST {path}?model={model} HTTP/1.1\r\nhost: {host}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _measured(reads: list[tuple[float, bytes]], start: float) -> MeasuredAnswer:
    raw = b"".join(data for _, data in reads)
    times = [at for at, _ in reads]
    ends = list(accumulate(len(data) for _, data in reads))

    def received_at(offset: int) -> float:
        return times[bisect_left(ends, offset)]

    stamps = [(float(match[1]), match.end()) for match in _STAMPED.finditer(raw)]
    return MeasuredAnswer(
        first_token=received_at(raw.index(_TOKEN)) - start,
        duration=times[-1] - start,
        words=_words(raw),
        delays=[(sent, received_at(offset) - sent) for sent, offset in stamps],
    )


def _words(raw: bytes) -> int:
    """Count the words, and check that none of `w0 w1 …` is missing."""
    lines = _unchunked(raw).decode().split("\n")
    events = [json.loads(line[6:]) for line in lines if line.startswith('data: {"')]
    text = "".join(e["delta"] for e in events if e["type"] == "text-delta")
    words = [word.partition("@")[0] for word in text.split()]
    for number, word in enumerate(words):
        if word != f"w{number}":
            around = " ".join(words[max(0, number - 3) : number + 3])
            raise ValueError(f"word {number} of {len(words)} is lost or out of order: {around}")
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
