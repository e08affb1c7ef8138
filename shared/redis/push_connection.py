"""A connection that receives pub/sub messages.

It is written on asyncio and hiredis: redis-py's pub/sub needs twice the CPU per message.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import hiredis
from redis.asyncio.connection import SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.redis.client import REDIS_UNAVAILABLE, Argument
from shared.redis.sentinel import Address, Sentinels
from shared.waiting import wait_briefly

#: A message that the server pushes: its kind, the channel, and the payload.
Push = list[bytes]

#: The time between two pings. After a ping without any data in this time, a second connection is
#: opened. If the server answers only that one, the first one is half-open. Time alone proves
#: nothing: the server may be slow, and a process that was paused has not read what it received.
_PING_SECONDS = 0.5
#: Longest time to open a connection.
CONNECT_SECONDS = 5.0
#: Longest time to open the second one. After that, the server is considered unreachable.
_COMPARE_SECONDS = 2.0

_pack = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType]


class PushConnection(asyncio.Protocol):
    #: The address of the primary, if Sentinels have reported it.
    primary: Address

    def __init__(
        self, on_push: Callable[[Push], None], on_error: Callable[[Exception], None]
    ) -> None:
        self._on_push = on_push
        self._on_error = on_error
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        #: When the last ping was sent, on the monotonic clock, and whether data came since then.
        self.pinged_at = 0.0
        #: `pinged_at` if the connection was given up because it received nothing after that.
        self.silent_since: float | None = None
        self._heard = asyncio.Event()
        self.closed = asyncio.Event()
        self._reply: asyncio.Future[object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self._heard.set()
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(exc or RedisConnectionError("connection closed"))

    def data_received(self, data: bytes) -> None:
        self._heard.set()
        self._reader.feed(data)
        while (push := self._reader.gets()) is not False:
            if self._reply is not None and not self._reply.done():
                self._reply.set_result(push)
            elif isinstance(push, list):
                self._on_push(cast("Push", push))
            elif isinstance(push, Exception):
                self._on_error(push)

    def send(self, *command: Argument) -> None:
        # uvloop raises an error if a reset has closed the transport.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_pack(command))

    async def call(self, *command: Argument) -> None:
        """Send one command of the handshake and check its reply."""
        self._reply = asyncio.get_running_loop().create_future()
        self.send(*command)
        reply = await self._reply
        self._reply = None
        if isinstance(reply, Exception):
            raise RedisConnectionError(str(reply))

    async def watch(self, open_other: "Connect") -> "PushConnection | None":
        """Return when the connection is lost.

        Returns the connection that replaces it if the server answers only that one: this one is
        then half-open. `open_other` opens another connection to the server.
        """
        while not self.closed.is_set():
            self._heard.clear()
            self.pinged_at = time.monotonic()
            self.send("PING")
            await wait_briefly(self.closed, _PING_SECONDS)
            if not self._heard.is_set():
                other = await self._compare(open_other)
                if other is not None or not self._heard.is_set():
                    self.silent_since = self.pinged_at
                    return other
        return None

    async def _compare(self, open_other: "Connect") -> "PushConnection | None":
        """Return another connection if it is open before this one receives data."""
        opening = asyncio.ensure_future(open_other(_COMPARE_SECONDS))
        hearing = asyncio.ensure_future(self._heard.wait())
        try:
            await asyncio.wait((opening, hearing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            hearing.cancel()
            opening.cancel()
        if not opening.done():
            return None
        try:
            other = opening.result()
        except (*REDIS_UNAVAILABLE, TimeoutError):
            return None
        if self._heard.is_set():
            other.abort()
            return None
        return other

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


#: Opens a connection within a number of seconds.
Connect = Callable[[float], Awaitable[PushConnection]]


async def open_push_connection(
    options: Mapping[str, Any],
    name: str,
    *,
    on_push: Callable[[Push], None],
    on_error: Callable[[Exception], None],
    seconds: float = CONNECT_SECONDS,
) -> PushConnection:
    """Connect to a server, given by redis-py's connection options.

    Error replies to later commands go to `on_error`.

    Raises:
        RedisConnectionError, OSError, TimeoutError: if the connection fails.
    """
    loop = asyncio.get_running_loop()
    sentinels: Sentinels | None = options.get("sentinels")
    connection = PushConnection(on_push, on_error)
    async with asyncio.timeout(seconds):
        if "path" in options:
            await loop.create_unix_connection(lambda: connection, options["path"])
        else:
            host, port = connection.primary = await _address(options)
            await loop.create_connection(lambda: connection, host, port, ssl=_tls(options))
        try:
            await _greet(connection, options, name)
            if sentinels is not None:
                sentinels.join(connection)
        except BaseException:
            connection.abort()
            raise
    return connection


async def _address(options: Mapping[str, Any]) -> Address:
    sentinels: Sentinels | None = options.get("sentinels")
    if sentinels is not None:
        return await sentinels.primary()
    return options.get("host", "localhost"), options.get("port", 6379)


def _tls(options: Mapping[str, Any]) -> ssl.SSLContext | None:
    """Build the TLS context as redis-py does, so that both connect under the same settings."""
    if not issubclass(options.get("connection_class", object), SSLConnection):
        return None
    ssl_options = {name: value for name, value in options.items() if name.startswith("ssl_")}
    return SSLConnection(**ssl_options).ssl_context.get()


async def _greet(connection: PushConnection, options: Mapping[str, Any], name: str) -> None:
    if password := options.get("password"):
        user = [options["username"]] if options.get("username") else []
        await connection.call("AUTH", *user, password)
    await connection.call("CLIENT", "SETNAME", name)
