"""A TCP proxy whose connections a test breaks."""

import asyncio
import socket
import struct
from types import TracebackType
from typing import Self

#: Closing a socket sends a reset instead of the end of the stream.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Connection:
    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.silent = False

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if not self.silent:
                writer.write(data)
                await writer.drain()
        if not self.silent:
            writer.close()

    def reset(self) -> None:
        for writer in (self.client, self.server):
            if writer.transport.is_closing():
                continue
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()


class CuttingProxy:
    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._connections: list[_Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server
        host, port = self._server.sockets[0].getsockname()
        return f"http://{host}:{port}"

    def reset(self) -> None:
        """Reset all connections."""
        for connection in self._connections:
            connection.reset()
        self._connections.clear()

    def silence(self) -> None:
        """Keep all connections open, but pass nothing through them any more."""
        for connection in self._connections:
            connection.silent = True

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server
        self._server.close()
        self.reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        connection = _Connection(writer, server_writer)
        self._connections.append(connection)
        for source, sink in ((reader, server_writer), (server_reader, writer)):
            self._start(connection, source, sink)

    def _start(
        self, connection: _Connection, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        async def pump() -> None:
            try:
                await connection.pump(source, sink)
            except OSError:
                connection.reset()

        task = asyncio.create_task(pump())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
