"""A client's connection, on which a request's head has an end.

uvicorn waits for it without a limit of its own, in time or in size: whoever reaches the port, with
or without a key, could hold connections and fill the memory. Bodies are limited where
they are read.
"""

import asyncio
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class RequestHeadLimitProtocol(HttpToolsProtocol):
    #: Room for the longest token, and for the cookies of the sites that share the name.
    max_head_bytes: ClassVar = 65_536
    head_timeout_seconds: ClassVar = 30.0

    _timer: asyncio.TimerHandle | None = None
    #: The head of a request is awaited, or has begun.
    _in_head = True
    _received = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begin_head()

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._received += len(data)
            if self._received > self.max_head_bytes:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _begin_head(self) -> None:
        self._end_head()
        self._in_head, self._received = True, 0
        self._timer = self.loop.call_later(
            self.head_timeout_seconds, self._refuse, HTTPStatus.REQUEST_TIMEOUT
        )

    def _end_head(self) -> None:
        self._in_head = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: HTTPStatus) -> None:
        self._end_head()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:  # pyright: ignore[reportUnnecessaryComparison]  (there is none at first)
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            self.transport.write(f"{head}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        self.transport.close()
