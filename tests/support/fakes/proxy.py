"""A TCP proxy that can reset, hold or delay connections, as a bad network does."""

import asyncio
import socket
import ssl
import struct
from contextlib import suppress
from typing import Self

from tests.support.wait import until

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Use as an async context manager. With `tls`, the proxy terminates TLS."""

    def __init__(self, target_port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.accepted = 0
        #: Connections whose TLS handshake failed.
        self.refused = 0
        #: Seconds before each piece of data is forwarded.
        self.delay = 0.0
        self._target_port = target_port
        self._tls = tls
        self._requests = _set_event()
        self._replies = _set_event()
        self._accepting = _set_event()
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

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def freeze_connections(self) -> None:
        """Keep the open connections, but forward nothing on them."""
        self._requests.clear()
        self._requests = _set_event()
        self.freeze_replies()

    def freeze_replies(self) -> None:
        """Forward only what clients send on the open connections, and no replies."""
        self._replies.clear()
        self._replies = _set_event()

    def freeze(self) -> None:
        """Forward nothing on the open connections. New ones are accepted and wait."""
        self.freeze_connections()
        self._accepting.clear()

    def drop_connections(self) -> None:
        """Abort the open connections. New ones are accepted and wait."""
        self._accepting.clear()
        for writer in self._writers:
            writer.transport.abort()

    def reset_connections(self) -> None:
        """Reset the open connections (RST) at both ends. New ones are served."""
        for writer in self._writers:
            if not writer.transport.is_closing():
                end = writer.get_extra_info("socket")
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    def pause(self) -> None:
        """Hold all data, and new connections, until `resume`."""
        for event in (self._requests, self._replies, self._accepting):
            event.clear()

    def resume(self) -> None:
        """Serve the connections that wait, and forward the data that `pause` has held."""
        for event in (self._requests, self._replies, self._accepting):
            event.set()

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
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except ConnectionError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(far_writer)
        self._start_pipe(reader, far_writer, self._requests)
        self._start_pipe(far_reader, writer, self._replies)

    def _start_pipe(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, is_open: asyncio.Event
    ) -> None:
        pipe = asyncio.create_task(self._pipe(source, sink, is_open))
        self._pipes.add(pipe)
        pipe.add_done_callback(self._pipes.discard)

    async def _pipe(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, is_open: asyncio.Event
    ) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await is_open.wait()
                sink.write(data)
                await sink.drain()
        sink.transport.abort()
        self._writers.discard(sink)


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
