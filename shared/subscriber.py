"""One subscribed connection to Redis a process, whatever the number of channels and listeners.

It speaks the protocol itself: redis-py's pub/sub costs twice the CPU for each message. What was
published while the connection was away is gone, so every (re)subscription is announced to the
listener as a gap: the log is the truth, the publication only the bell.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast

import hiredis
import structlog
from redis.asyncio.connection import SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.background import Background
from shared.redis import REDIS_AWAY, Argument, connection_options
from shared.sentinel import Sentinels

log = structlog.stdlib.get_logger()

_PING_SECONDS = 5.0
_SILENCE_SECONDS = 15.0
_RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)


_pack = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType]


class Listener(Protocol):
    def on_message(self, message: bytes) -> None: ...

    def on_gap(self) -> None:
        """From now on messages arrive; whatever was published before may have been missed."""
        ...


class Subscriber(Background):
    """Use as an async context manager; it keeps itself connected until left."""

    def __init__(self, url: str, *, name: str) -> None:
        self._options = connection_options(url)
        self._name = name
        self._listeners: dict[bytes, set[Listener]] = {}
        self._subscribed: set[bytes] = set()
        self._connection: _Connection | None = None

    def add(self, channel: str, listener: Listener) -> None:
        """Listen to a channel. `on_gap` tells when the subscription stands."""
        name = channel.encode()
        listeners = self._listeners.setdefault(name, set())
        if not listeners:
            self._send("SUBSCRIBE", name)
        elif name in self._subscribed:
            listener.on_gap()
        listeners.add(listener)

    def remove(self, channel: str, listener: Listener) -> None:
        name = channel.encode()
        listeners = self._listeners.get(name, set())
        listeners.discard(listener)
        if not listeners and self._listeners.pop(name, None) is not None:
            self._send("UNSUBSCRIBE", name)

    def _send(self, *command: Argument) -> None:
        if self._connection is not None:
            self._connection.send(*command)

    def _on_push(self, push: list[bytes]) -> None:
        kind, channel = push[0], push[1]
        listeners = self._listeners.get(channel, ())
        if kind == b"message":
            for listener in listeners:
                listener.on_message(push[2])
        elif kind == b"subscribe":
            self._subscribed.add(channel)
            for listener in listeners:
                listener.on_gap()
        elif kind == b"unsubscribe":
            self._subscribed.discard(channel)

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                connection = await _connect(self._options, self._name, self._on_push)
            except (*REDIS_AWAY, TimeoutError) as error:
                delay = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
                failures += 1
                log.warning("subscriber.connect_failed", error=str(error), retry_in=delay)
                await asyncio.sleep(delay)
                continue
            failures = 0
            await self._serve(connection)

    async def _serve(self, connection: "_Connection") -> None:
        self._connection = connection
        try:
            if self._listeners:
                connection.send("SUBSCRIBE", *self._listeners)
            await connection.watch()
        finally:
            self._connection = None
            self._subscribed.clear()
            connection.close()
        log.warning("subscriber.disconnected")


class _Connection(asyncio.Protocol):
    def __init__(self, on_push: Callable[[list[bytes]], None]) -> None:
        self._on_push = on_push
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._heard = 0.0
        self.closed = asyncio.Event()
        self._reply: asyncio.Future[object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(exc or RedisConnectionError("connection closed"))

    def data_received(self, data: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        self._reader.feed(data)
        while (push := self._reader.gets()) is not False:
            if self._reply is not None and not self._reply.done():
                self._reply.set_result(push)
            elif isinstance(push, list):
                self._on_push(cast("list[bytes]", push))

    def send(self, *command: Argument) -> None:
        if self._transport is not None:
            self._transport.write(_pack(command))

    async def call(self, *command: Argument) -> None:
        """Send one command of the handshake and check its reply."""
        self._reply = asyncio.get_running_loop().create_future()
        self.send(*command)
        reply = await self._reply
        self._reply = None
        if isinstance(reply, Exception):
            raise RedisConnectionError(str(reply))

    async def watch(self) -> None:
        """Return when the connection has ended, or nothing has been heard for too long."""
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        while not self.closed.is_set() and loop.time() - self._heard < _SILENCE_SECONDS:
            self.send("PING")
            with suppress(TimeoutError):
                async with asyncio.timeout(_PING_SECONDS):
                    await self.closed.wait()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


async def _connect(
    options: dict[str, Any], name: str, on_push: Callable[[list[bytes]], None]
) -> _Connection:
    loop = asyncio.get_running_loop()
    connection = _Connection(on_push)
    async with asyncio.timeout(5):
        if "path" in options:
            await loop.create_unix_connection(lambda: connection, options["path"])
        else:
            host, port = await _address(options)
            await loop.create_connection(lambda: connection, host, port, ssl=_tls(options))
        try:
            await _greet(connection, options, name)
        except BaseException:
            connection.close()
            raise
    return connection


async def _address(options: dict[str, Any]) -> tuple[str, int]:
    sentinels: Sentinels | None = options.get("sentinels")
    if sentinels is not None:
        return await sentinels.primary()
    return options.get("host", "localhost"), options.get("port", 6379)


def _tls(options: dict[str, Any]) -> ssl.SSLContext | None:
    """As redis-py reads the URL, so that where the pool can connect, this can too."""
    if not issubclass(options.get("connection_class", object), SSLConnection):
        return None
    named = {name: value for name, value in options.items() if name.startswith("ssl_")}
    return SSLConnection(**named).ssl_context.get()


async def _greet(connection: _Connection, options: dict[str, Any], name: str) -> None:
    if password := options.get("password"):
        user = [options["username"]] if options.get("username") else []
        await connection.call("AUTH", *user, password)
    await connection.call("CLIENT", "SETNAME", name)
