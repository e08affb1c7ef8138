"""Limits what one connection can hold: the head of a request, a refused body, and unread responses.

uvicorn limits none of them, so clients without credentials could hold connections open and fill the
memory. Bodies are limited where they are read.
"""

import asyncio
import time
from http import HTTPStatus
from typing import Any, ClassVar, cast

import structlog
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.monitoring.request_metrics import CONNECTIONS_NEAR_LIMIT
from shared.processes.open_files import open_file_limit

log = structlog.stdlib.get_logger()

_HEAD_TOO_LARGE = Response(
    status_code=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, headers={"connection": "close"}
)
#: The share of the open files from which a connection is logged.
_NEAR_LIMIT = 0.9
_LOG_SECONDS = 60.0


class LimitedHttpProtocol(HttpToolsProtocol):
    """Responds 408 to a head that arrives too slowly, and 431 to one that is too large.

    Closes the connection if the rest of an already refused body does not arrive in time, or if the
    client does not read what was sent to it.
    """

    #: Enough for the longest token and the cookies of other sites on the same host name.
    max_head_bytes: ClassVar = 65_536
    head_timeout_seconds: ClassVar = 30.0
    #: How long the rest of a body may take after the response. Closing at once would make clients
    #: lose the response while they are still sending.
    rest_timeout_seconds: ClassVar = 5.0
    #: How long the client may read nothing while data waits for it.
    write_timeout_seconds: ClassVar = 30.0

    _next_log: ClassVar = 0.0

    # Instances with at most 30 other attributes share the keys of their dictionaries. An unshared
    # dictionary would add 1.3 KB to each connection.
    __slots__ = (
        "_field_bytes",  # of the complete parts of an incomplete head
        "_head_bytes",  # of an incomplete head
        "_head_timer",
        "_in_head",  # whether a request's head is expected or incomplete
        "_rest_timer",
        "_unsent_bytes",
        "_write_timer",
    )

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._head_timer = self._rest_timer = self._write_timer = None
        super().connection_made(transport)
        self._begin_head()
        self._check_open_files(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        _cancel(self._rest_timer)
        _cancel(self._write_timer)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unset_keepalive_if_required()  # the end of the previous body may have set it
        self._begin_head()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._field_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._field_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        self._end_head()
        app = self.app
        if self._field_bytes > self.max_head_bytes:
            self.app = cast("Any", _HEAD_TOO_LARGE)
        super().on_headers_complete()
        self.app = app

    def on_message_complete(self) -> None:
        super().on_message_complete()
        _cancel(self._rest_timer)
        if self._is_idle():  # data of the body has cancelled this timer
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_unsent()  # closing waits until everything is sent
        elif self.cycle.response_complete and self.cycle.more_body:
            self._rest_timer = self.loop.call_later(
                self.rest_timeout_seconds, self.timeout_keep_alive_handler
            )

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_unsent()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes:
                self._reject(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_unsent()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            _cancel(self._write_timer)

    def _begin_head(self) -> None:
        self._end_head()
        self._in_head, self._head_bytes, self._field_bytes = True, 0, 0
        self._head_timer = self.loop.call_later(
            self.head_timeout_seconds, self._reject, HTTPStatus.REQUEST_TIMEOUT
        )

    def _end_head(self) -> None:
        self._in_head = False
        _cancel(self._head_timer)
        self._head_timer = None  # a cancelled timer would keep its context alive

    def _reject(self, status: HTTPStatus) -> None:
        self._end_head()
        if self.transport.is_closing():
            return
        if self._is_idle():
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            self.transport.write(f"{head}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        self.transport.close()
        self._watch_unsent()

    def _is_idle(self) -> bool:
        """Return whether no request waits for its response."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        return cycle is None or cycle.response_complete

    def _watch_unsent(self) -> None:
        """Check after a while whether the client has read anything."""
        self._unsent_bytes = self.transport.get_write_buffer_size()
        _cancel(self._write_timer)
        self._write_timer = self.loop.call_later(self.write_timeout_seconds, self._check_unsent)

    def _check_unsent(self) -> None:
        if self.transport.get_write_buffer_size() < self._unsent_bytes:
            self._watch_unsent()
        elif self._unsent_bytes:
            self.transport.abort()

    def _check_open_files(self, transport: asyncio.Transport) -> None:
        """Log and count a connection near the limit. Beyond it, the kernel refuses connections."""
        opened, limit = _file_number(transport), open_file_limit()
        if opened < limit * _NEAR_LIMIT:
            return
        CONNECTIONS_NEAR_LIMIT.inc()
        if time.monotonic() < LimitedHttpProtocol._next_log:
            return
        LimitedHttpProtocol._next_log = time.monotonic() + _LOG_SECONDS
        log.warning(
            "api.files_near_limit",
            message="The API is about to run out of file descriptors for connections",
            open=opened,
            limit=limit,
        )


def _file_number(transport: asyncio.Transport) -> int:
    """Return the number of the connection's file: the system assigns the lowest free one."""
    socket = transport.get_extra_info("socket")
    return socket.fileno() if socket is not None else 0


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
