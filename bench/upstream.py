"""A model server that streams words with little CPU time: `python -m bench.upstream PORT`.

The model's name is its script: `words-400` sends 400 words as fast as the client reads, and
`words-400-0.02` one word each 0.02 seconds, with the time at which it was sent.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import uvloop

from tests.support.processes import ServerProcess, free_port
from tests.support.wait import until

_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def model_name(words: int, delay: float = 0.0) -> str:
    """Return the name of the model that sends so many words, with so many seconds in between."""
    return f"words-{words}-{delay:g}" if delay else f"words-{words}"


class BenchUpstream(ServerProcess):
    """The model server in its own process."""

    def __init__(self) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        super().__init__(sys.executable, "-m", "bench.upstream", str(self.port))

    async def ready(self) -> None:
        async def probe() -> bool:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return True
            return False

        await until(probe)


async def serve(port: int) -> None:
    server = await asyncio.start_server(_handle, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


async def _handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, found, length = head.partition(b"content-length:")
            body = await reader.readexactly(int(length.split(b"\r\n")[0])) if found else b"{}"
            await _respond(json.loads(body), writer)
    writer.close()


async def _respond(request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    if not request.get("stream"):
        models = b'{"object": "list", "data": []}'
        writer.write(_JSON % (len(models), models))
        return
    writer.write(_STREAM)
    async for event in _events(request["model"]):
        data = b"data: %b\n\n" % event
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def _events(model: str) -> AsyncGenerator[bytes]:
    _, words, *delay = model.split("-")
    seconds = float(delay[0]) if delay else 0.0
    start = time.monotonic()
    for number in range(int(words)):
        pause = start + number * seconds - time.monotonic() if seconds else 0.0
        await asyncio.sleep(max(0.0, pause))  # without a pause, the other streams go on
        stamp = f"@{time.monotonic():.6f}" if seconds else ""
        yield _chunk(model, {"delta": {"content": f"w{number}{stamp} "}, "finish_reason": None})
    yield _chunk(model, {"delta": {}, "finish_reason": "stop"})
    yield b"[DONE]"


def _chunk(model: str, choice: dict[str, Any]) -> bytes:
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model}
    return json.dumps(chunk | {"choices": [{"index": 0, **choice}]}).encode()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
