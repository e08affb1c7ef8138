"""Redis clients, and the errors that mean that Redis is unavailable."""

import asyncio
import socket
import time
from asyncio import AbstractEventLoop
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol, Self, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet

import redis.asyncio
from redis.asyncio.connection import (
    AbstractConnection,
    BlockingConnectionPool,
    Connection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.redis.sentinel import is_sentinel, sentinel_options

Argument = str | int | float | bytes

#: How long a server may take to reply. A connection on which it takes longer may be half-open, and
#: a server that hangs may have been replaced by another.
#: `socket_timeout` is not used: it makes redis-py send under `asyncio.wait_for`, which can swallow
#: a cancellation on Python 3.11.
SILENCE_SECONDS = 4.0
#: If a connection of a pool received no reply for this long, the idle ones are closed too.
_SUSPICIOUS_SECONDS = 1.0
#: Closes a connection after about the same time if the other end is gone.
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}

#: The errors of a Redis that is unreachable, restarting, loading, failing over or full.
REDIS_UNAVAILABLE = (
    RedisConnectionError,
    RedisTimeoutError,
    OSError,
    OutOfMemoryError,
    ReadOnlyError,
)

#: More error replies with that meaning, for which redis-py has no exception.
_UNAVAILABLE_REPLIES = (
    *("NOREPLICAS", "MISCONF", "CLUSTERDOWN", "MASTERDOWN"),
    *("TRYAGAIN", "MOVED ", "ASK "),  # from a cluster that takes too long to move keys
    *("UNBLOCKED", "WAIT cannot be used"),  # from a primary that became a replica during WAIT
)


def as_unavailable(error: Exception) -> Exception:
    """Return one of REDIS_UNAVAILABLE if the error means that the server cannot serve now."""
    if isinstance(error, ResponseError) and str(error).startswith(_UNAVAILABLE_REPLIES):
        return RedisConnectionError(str(error))
    return error


class Pipeline(Protocol):
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc_info: object) -> None: ...
    def execute_command(self, *args: Argument) -> object: ...
    async def execute(self, *, raise_on_error: bool = True) -> list[Any]: ...


class PipelineWrapper:
    """Passes commands on to another pipeline. Subclasses define how they are executed."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def __aenter__(self) -> Self:
        await self._pipeline.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._pipeline.__aexit__(*exc_info)

    def execute_command(self, *args: Argument) -> object:
        return self._pipeline.execute_command(*args)


class Redis(Protocol):
    """The part of redis-py's client that Mamba uses, with types."""

    async def execute_command(self, *args: Argument) -> Any: ...  # noqa: ANN401  (any reply)
    def pipeline(self, *, transaction: bool = True) -> Pipeline: ...
    async def aclose(self) -> None: ...


class ConnectionPool(BlockingConnectionPool):
    """A pool that can abort its connections."""

    #: Identifies the server, as `server_of` returns it.
    server: object = None

    def make_connection(self) -> AbstractConnection:
        connection = cast("Any", super()).make_connection()
        connection.pool = self
        return connection

    def abort_idle(self) -> None:
        """Close the connections that are not in use, which may be half-open."""
        for connection in cast("list[_ReportedFailures]", self._available_connections):
            connection.abort()


def connect(url: str, *, name: str, max_connections: int) -> Redis:
    """Create a client with its own connection pool."""
    pool = open_pool(url, name=name, max_connections=max_connections)
    return cast("Redis", redis.asyncio.Redis.from_pool(pool))


def open_pool(url: str, *, name: str, max_connections: int) -> ConnectionPool:
    """Create a bounded pool whose connections are listed as `name` by CLIENT LIST.

    If all connections are in use, callers wait for one.
    """
    return pool_for(connection_options(url), name=name, max_connections=max_connections)


def pool_for(server: Mapping[str, Any], *, name: str, max_connections: int) -> ConnectionPool:
    """Create the same pool from redis-py's connection options.

    Raises:
        ValueError: if an option is unknown, or is one that this function sets.
    """
    kind = server.get("connection_class", Connection)
    server_options = {key: value for key, value in server.items() if key != "connection_class"}
    options: dict[str, Any] = {
        "client_name": name,
        "max_connections": max_connections,
        "connection_class": _reporting_failures(kind),
        "timeout": None,
        "socket_connect_timeout": 5,
        "retry": Retry(ExponentialBackoff(cap=0.2, base=0.01), 2),
        "retry_on_error": [RedisConnectionError, RedisTimeoutError],
    }
    if "path" not in server:
        options |= {"socket_keepalive": True, "socket_keepalive_options": _keepalive_options()}
    try:
        pool = cast("Any", ConnectionPool)(**server_options, **options)
        pool.server = server_of(server)
        pool.make_connection()  # checks the options; it does not connect
    except TypeError as error:
        *_, parameter, _ = str(error).split("'")
        raise ValueError(f"The parameter {parameter} cannot be set in the URL.") from None
    return pool


def connection_options(url: str) -> dict[str, Any]:
    """Return redis-py's options for the server at a URL, with `sentinels` for a Sentinel URL."""
    return sentinel_options(url) if is_sentinel(url) else dict(parse_url(url))


def server_of(options: Mapping[str, Any]) -> object:
    """Return what identifies the server, or its Sentinels, in redis-py's connection options."""
    address = options.get("host", "localhost"), options.get("port", 6379)
    return options.get("sentinels") or options.get("path") or address


def abort_silent(options: Mapping[str, Any], *, since: float) -> None:
    """Close the connections to a server, in all pools, that have received nothing since a time.

    Call it when another connection has turned out to be half-open. The commands that wait on the
    closed connections are repeated on new ones.
    """
    server = server_of(options)
    for connection in list(_connections()):
        if connection.pool.server == server and connection.heard_at < since:
            connection.abort()


def is_cluster(url: str) -> bool:
    return urlsplit(url).scheme in ("cluster", "clusters")


class _ReportedFailures:
    """A connection that reports each failure of the network with one of REDIS_UNAVAILABLE.

    It closes if a reply takes longer than SILENCE_SECONDS.
    """

    pool: "ConnectionPool"
    #: When it was opened or last received a reply, on the monotonic clock.
    heard_at = 0.0

    async def _connect(self) -> None:
        await cast("Any", super())._connect()  # noqa: SLF001  (redis-py's extension point)
        self.heard_at = time.monotonic()
        _connections().add(self)

    def abort(self) -> None:
        """Close the connection at once. Its current or next command reconnects."""
        if (writer := cast("Any", self)._writer) is not None:  # noqa: SLF001  (redis-py's)
            writer.transport.abort()

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        connection = cast("Any", super())
        try:
            await connection.send_packed_command(*args, **options)
        except RuntimeError as error:  # from uvloop, if a reset has closed the transport
            raise RedisConnectionError("The connection to Redis was reset.") from error

    async def read_response(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401  (redis-py's)
        connection, began = cast("Any", super()), time.monotonic()
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                reply = await connection.read_response(*args, **options)
        except TimeoutError:  # the cancelled read has closed the connection
            self.pool.abort_idle()
            raise RedisTimeoutError("Redis does not respond.") from None
        except asyncio.CancelledError:  # such as the time limit of the caller
            if time.monotonic() - began >= _SUSPICIOUS_SECONDS:
                self.pool.abort_idle()
            raise
        self.heard_at = time.monotonic()
        return reply


async def redis_time_ms(redis: Redis) -> int:
    """Return the clock of Redis in Unix milliseconds."""
    seconds, micros = await redis.execute_command("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


#: The open connections of each event loop.
_open: WeakKeyDictionary[AbstractEventLoop, WeakSet[_ReportedFailures]] = WeakKeyDictionary()


def _connections() -> WeakSet[_ReportedFailures]:
    return _open.setdefault(asyncio.get_running_loop(), WeakSet())


@cache
def _reporting_failures(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    return type(kind.__name__, (_ReportedFailures, kind), {})


def _keepalive_options() -> dict[int, int]:
    """Return those of the options that this platform supports."""
    return {getattr(socket, k): v for k, v in _KEEPALIVE.items() if hasattr(socket, k)}


__all__ = [
    "REDIS_UNAVAILABLE",
    "SILENCE_SECONDS",
    "Argument",
    "AuthenticationError",
    "BusyLoadingError",
    "ConnectionPool",
    "NoPermissionError",
    "NoScriptError",
    "OutOfMemoryError",
    "Pipeline",
    "PipelineWrapper",
    "ReadOnlyError",
    "Redis",
    "RedisError",
    "as_unavailable",
    "connect",
    "connection_options",
    "is_cluster",
    "open_pool",
    "pool_for",
    "redis_time_ms",
]
