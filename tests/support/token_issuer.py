"""An issuer's address: a real HTTP server that serves a key set, as well or badly as it is told."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.auth_caller import Json


@dataclass
class TokenIssuer:
    url: str
    status: int = 200
    #: What is served; bytes as they are.
    body: Any = None
    headers: list[str] = field(default_factory=list[str])
    fetch_count: int = 0
    #: Cleared, requests wait for it.
    released: asyncio.Event = field(default_factory=asyncio.Event)
    #: Bytes go out one by one, for ever.
    endless: bool = False

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
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        size = [] if self.endless else [f"content-length: {len(body)}"]
        lines = [f"HTTP/1.1 {self.status} X", "connection: close", *size, *self.headers, "", ""]
        writer.write("\r\n".join(lines).encode() + (b"" if self.endless else body))
        await writer.drain()
        while self.endless:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)


@asynccontextmanager
async def open_issuer() -> AsyncGenerator[TokenIssuer]:
    issuer = TokenIssuer("")
    issuer.released.set()
    server = await asyncio.start_server(issuer.handle, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks.json"
    try:
        yield issuer
    finally:
        issuer.released.set()
        issuer.endless = False
        server.close()
        await server.wait_closed()
