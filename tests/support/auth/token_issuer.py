"""An HTTP server that serves the key set of a token issuer, and can misbehave."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.auth.credentials import Json


@dataclass
class TokenIssuer:
    url: str
    status: int = 200
    #: Served as JSON, or unchanged if it is bytes.
    body: Any = None
    headers: list[str] = field(default_factory=list[str])
    fetch_count: int = 0
    #: Requests wait until this is set.
    released: asyncio.Event = field(default_factory=asyncio.Event)
    #: Send the body one byte at a time, without end.
    endless: bool = False
    #: Responses (status, headers, body) for the next requests, before `body`.
    responses: list[tuple[int, list[str], Any]] = field(
        default_factory=list[tuple[int, list[str], Any]]
    )

    def serve(self, *keys: Json) -> None:
        self.body = {"keys": keys}

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.fetch_count += 1
            await self.released.wait()
            await self._send(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        current = (self.status, self.headers, self.body)
        status, headers, content = self.responses.pop(0) if self.responses else current
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        size = [] if self.endless else [f"content-length: {len(body)}"]
        lines = [f"HTTP/1.1 {status} X", "connection: close", *size, *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + (b"" if self.endless else body))
        await writer.drain()
        while self.endless:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)


@asynccontextmanager
async def open_issuer(host: str = "127.0.0.1") -> AsyncGenerator[TokenIssuer]:
    issuer = TokenIssuer("")
    issuer.released.set()
    server = await asyncio.start_server(issuer.handle, host, 0)
    name = f"[{host}]" if ":" in host else host
    issuer.url = f"http://{name}:{server.sockets[0].getsockname()[1]}/jwks.json"
    try:
        yield issuer
    finally:
        issuer.released.set()
        issuer.endless = False
        server.close()
        await server.wait_closed()
