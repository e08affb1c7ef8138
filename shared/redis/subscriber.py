"""Pub/sub over one connection per process, for any number of channels and listeners.

Messages published while the connection is down are lost. So a listener receives `on_gap` after each
(re)subscription, and reads the stream from its own cursor.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from shared.background_task import BackgroundTask
from shared.backoff import Backoff
from shared.redis.client import (
    REDIS_UNAVAILABLE,
    Argument,
    abort_silent,
    connection_options,
)
from shared.redis.push_connection import (
    CONNECT_SECONDS,
    Push,
    PushConnection,
    open_push_connection,
)

log = structlog.stdlib.get_logger()

#: Limit of the first attempt to connect; that of each further one is twice as long. A connection
#: that becomes half-open while it is opened then costs only this time.
_FIRST_CONNECT_SECONDS = 1.0


class Listener(Protocol):
    def on_message(self, message: bytes) -> None: ...

    def on_gap(self) -> None:
        """The subscription is active; earlier messages may have been missed."""
        ...


class Subscriptions(Protocol):
    def add(self, channel: str, listener: Listener) -> None:
        """Listen to a channel. `on_gap` is called when the subscription is active."""
        ...

    def remove(self, channel: str, listener: Listener) -> None: ...


class Subscriber(BackgroundTask):
    """Receives publications over one connection. Reconnects until its async context is left."""

    #: Kinds of pushed messages: a publication, the start and the end of a subscription.
    KINDS = (b"message", b"subscribe", b"unsubscribe")

    def __init__(self, server: str | Mapping[str, Any], *, name: str) -> None:
        """`server` is a URL, or redis-py's options of a connection."""
        self._options = connection_options(server) if isinstance(server, str) else server
        self._name = name
        self._listeners: dict[bytes, set[Listener]] = {}
        self._subscribed: set[bytes] = set()
        self._connection: PushConnection | None = None

    def add(self, channel: str, listener: Listener) -> None:
        """Listen to a channel. `on_gap` is called when the subscription is active."""
        name = channel.encode()
        listeners = self._listeners.setdefault(name, set())
        if not listeners:
            self._subscribe(name)
        elif name in self._subscribed:
            listener.on_gap()
        listeners.add(listener)

    def remove(self, channel: str, listener: Listener) -> None:
        name = channel.encode()
        listeners = self._listeners.get(name, set())
        listeners.discard(listener)
        if not listeners and self._listeners.pop(name, None) is not None:
            self._unsubscribe(name)

    def _subscribe(self, *names: bytes) -> None:
        self._send("SUBSCRIBE", *names)

    def _unsubscribe(self, name: bytes) -> None:
        self._send("UNSUBSCRIBE", name)

    def _send(self, *command: Argument) -> None:
        if self._connection is not None:
            self._connection.send(*command)

    def _on_push(self, push: Push) -> None:
        message, subscribed, unsubscribed = self.KINDS
        kind, channel = push[0], push[1]
        listeners = self._listeners.get(channel, ())
        if kind == message:
            for listener in listeners:
                listener.on_message(push[2])
        elif kind == subscribed:
            self._subscribed.add(channel)
            for listener in listeners:
                listener.on_gap()
        elif kind == unsubscribed:
            self._subscribed.discard(channel)
            self._on_ended(channel)

    def _on_ended(self, channel: bytes) -> None:
        """A subscription ended, on request or because the server ended it."""

    def _on_error(self, error: Exception) -> None:
        """The server replied with an error."""
        log.warning("subscriber.refused", message="Redis rejected a subscription", error=str(error))

    def _on_lost(self) -> None:
        """The connection was lost, or could not be opened."""

    async def _run(self) -> None:
        backoff, limit = Backoff(0.05, 5), _FIRST_CONNECT_SECONDS
        silent_since: float | None = None
        while True:
            try:
                connection = await self._open(limit)
            except (*REDIS_UNAVAILABLE, TimeoutError) as error:
                limit = min(2 * limit, CONNECT_SECONDS)
                delay = backoff.failed()
                if backoff.should_log():
                    log.warning(
                        "subscriber.connect_failed",
                        message="Could not connect to Redis for pub/sub",
                        error=str(error),
                    )
                self._on_lost()
                await asyncio.sleep(delay)
                continue
            if backoff.succeeded():
                log.info("subscriber.connected", message="Connected to Redis for pub/sub again")
            if silent_since is not None:
                abort_silent(self._options, since=silent_since)
            limit = _FIRST_CONNECT_SECONDS
            silent_since = await self._serve(connection)

    async def _open(self, seconds: float) -> PushConnection:
        return await open_push_connection(
            self._options,
            self._name,
            on_push=self._on_push,
            on_error=self._on_error,
            seconds=seconds,
        )

    async def _serve(self, connection: PushConnection) -> float | None:
        """Serve a connection, and each one that replaces a half-open one, until it is lost.

        Returns since when the last one was silent, or None if it was closed.
        """
        while (other := await self._serve_one(connection)) is not None:
            abort_silent(self._options, since=connection.pinged_at)  # they are half-open too
            connection = other
        return connection.silent_since

    async def _serve_one(self, connection: PushConnection) -> PushConnection | None:
        self._connection = connection
        try:
            if self._listeners:
                self._subscribe(*self._listeners)
            other = await connection.watch(self._open)
        finally:
            self._connection = None
            self._subscribed.clear()
            connection.abort()
        log.warning("subscriber.disconnected", message="Lost the pub/sub connection to Redis")
        self._on_lost()
        return other
