"""A receiver of webhooks that verifies signatures with the reference library."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from standardwebhooks.webhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

#: A whole response, no response, a closed connection, or a body that does not end.
Behavior = bytes | Literal["hang", "reset", "endless"]


def response(status: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", "content-length: 0", *headers]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


OK = response(204)


@dataclass
class WebhookReceiver:
    """Behaves as scripted, then confirms everything."""

    port: int = 0
    script: list[Behavior] = field(default_factory=list[Behavior])
    #: The id and the content of each request, whatever the response was.
    received: list[tuple[str, dict[str, Any]]] = field(
        default_factory=list[tuple[str, dict[str, Any]]]
    )
    #: The ids that were confirmed.
    confirmed: list[str] = field(default_factory=list[str])
    signatures: list[str] = field(default_factory=list[str])
    open_requests: int = 0
    most_open_requests: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    def events_of(self, run_ids: Iterable[str]) -> list[dict[str, Any]]:
        wanted = {*run_ids}
        return [event for _, event in self.received if event["data"]["runId"] in wanted]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_requests += 1
        self.most_open_requests = max(self.most_open_requests, self.open_requests)
        try:
            while await self._serve_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open_requests -= 1
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        headers = {name.lower(): value for name, value in headers.items()}
        body = await reader.readexactly(int(headers["content-length"]))
        Webhook(SECRET).verify(body, headers)
        message_id = headers["webhook-id"]
        self.received.append((message_id, json.loads(body)))
        self.signatures.append(headers["webhook-signature"])
        behavior = self.script.pop(0) if self.script else OK
        return await self._behave(behavior, message_id, reader, writer)

    async def _behave(
        self,
        behavior: Behavior,
        message_id: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        match behavior:
            case "reset":
                writer.transport.abort()
                return False
            case "hang":
                await reader.read()
                return False
            case "endless":
                self.confirmed.append(message_id)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\nx")
                await reader.read()
                return False
            case _:
                if b" 2" in behavior[:10]:
                    self.confirmed.append(message_id)
                writer.write(behavior)
                await writer.drain()
                return True


@asynccontextmanager
async def webhook_receiver(*script: Behavior) -> AsyncGenerator[WebhookReceiver]:
    receiver = WebhookReceiver(script=[*script])
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
