"""A TCP proxy that can drop connections or stop forwarding, as a dead network does."""

import asyncio
import ssl
from contextlib import suppress
from typing import Self

from tests.support.wait import until


class Proxy:
    """Use as an async context manager. With `tls`, the proxy terminates TLS."""

    def __init__(self, target_port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.accepted = 0
        #: Connections whose TLS handshake failed.
        self.refused = 0
        self._target_port = target_port
        self._tls = tls
        self._forwarding = asyncio.Event()
        self._forwarding.set()
        self._accepting = asyncio.Event()
        self._accepting.set()
        self._pipes: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    def freeze_connections(self) -> None:
        """Keep the open connections, but forward nothing on them."""
        self._forwarding.clear()
        self._forwarding = asyncio.Event()
        self._forwarding.set()

    def freeze(self) -> None:
        """Forward nothing on the open connections. New ones are accepted and wait."""
        self.freeze_connections()
        self._accepting.clear()

    def drop_connections(self) -> None:
        """Abort the open connections. New ones are accepted and wait."""
        self._accepting.clear()
        for writer in self._writers:
            writer.transport.abort()

    def resume(self) -> None:
        """Serve the connections that wait."""
        self._accepting.set()

    async def has_accepted(self, connections: int) -> None:
        async def probe() -> bool:
            return self.accepted >= connections

        await until(probe)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._tls:
            try:
                await writer.start_tls(self._tls)
            except OSError:
                self.refused += 1
                writer.transport.abort()
                return
        self.accepted += 1
        self._writers.add(writer)
        await self._accepting.wait()
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers.add(far_writer)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._pipes.add(asyncio.create_task(_pipe(source, sink, self._forwarding)))


async def _pipe(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, is_open: asyncio.Event
) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65_536):
            await is_open.wait()
            sink.write(data)
            await sink.drain()
    sink.transport.abort()
