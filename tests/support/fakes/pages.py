"""A small web server that records the requests it receives."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

#: The media type and the content; a redirect has the media type `location` and its target.
Page = tuple[str, bytes]


class Pages:
    """Serves the given pages, and 404 for every other path. Use it as a context manager."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self.pages = dict(pages)
        self.requested_paths: list[str] = []
        self.bodies: list[bytes] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1")
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.lower().split("\r\n")
        lengths = [line.partition(":")[2] for line in lines if line.startswith("content-length:")]
        self.bodies.append(await reader.readexactly(int(lengths[0]) if lengths else 0))
        path = head.split()[1]
        self.requested_paths.append(path)
        writer.write(_response(self.pages.get(path.partition("?")[0])))
        await writer.drain()
        writer.close()


def _response(page: Page | None) -> bytes:
    kind, content = page or ("text/plain", b"not found")
    if kind == "location":
        head = f"HTTP/1.1 302 Found\r\nlocation: {content.decode()}\r\ncontent-length: 0\r\n"
        return f"{head}connection: close\r\n\r\n".encode()
    status, _, media_type = kind.rpartition(" ")
    status = status or ("200 OK" if page else "404 Not Found")
    head = f"HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {len(content)}\r\n"
    return f"{head}connection: close\r\n\r\n".encode() + content
