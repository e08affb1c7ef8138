"""Limits the time and size of a request's head.

uvicorn limits neither, so a client without credentials could hold connections open and fill the
memory. Bodies are limited where they are read.
"""

import asyncio
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class RequestHeadLimitProtocol(HttpToolsProtocol):
    """Responds 408 to a head that arrives too slowly, and 431 to one that is too large."""

    #: Enough for the longest token and the cookies of other sites on the same host name.
    max_head_bytes: ClassVar = 65_536
    head_timeout_seconds: ClassVar = 30.0

    _timer: asyncio.TimerHandle | None = None
    #: Whether a request's head is expected or incomplete.
    _in_head = True
    _head_bytes = 0

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
            self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes:
                self._reject(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _begin_head(self) -> None:
        self._end_head()
        self._in_head, self._head_bytes = True, 0
        self._timer = self.loop.call_later(
            self.head_timeout_seconds, self._reject, HTTPStatus.REQUEST_TIMEOUT
        )

    def _end_head(self) -> None:
        self._in_head = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _reject(self, status: HTTPStatus) -> None:
        self._end_head()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:  # pyright: ignore[reportUnnecessaryComparison]  (None before the first request)
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            self.transport.write(f"{head}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        self.transport.close()
