"""The edge to Redis: how a process connects, and how its scripts are called."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha1
from typing import Any, Protocol, Self, cast
from urllib.parse import urlsplit

import redis.asyncio
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import (
    AuthenticationError,
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

#: A server that hangs is given up: another may have taken its place, which it cannot tell. Not by
#: `socket_timeout`: redis-py would send under `asyncio.wait_for`, which on Python 3.11 can swallow
#: a cancellation.
SILENCE_SECONDS = 15.0
#: A connection whose other end is gone is given up after the same time.
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}

#: What a Redis that is away, restarting, loading, failing over or full looks like from here.
REDIS_AWAY = (
    RedisConnectionError,
    RedisTimeoutError,
    OSError,
    OutOfMemoryError,
    ReadOnlyError,
)


#: Replies that say the same in words of the server's own.
_AWAY_REPLIES = (
    *("NOREPLICAS", "MISCONF", "CLUSTERDOWN", "MASTERDOWN"),
    *("TRYAGAIN", "MOVED ", "ASK "),  # of a cluster whose keys are on their way for too long
)


def away(error: Exception) -> Exception:
    """The error, as one of REDIS_AWAY where it says that this server cannot serve right now."""
    if isinstance(error, ResponseError) and str(error).startswith(_AWAY_REPLIES):
        return RedisConnectionError(str(error))
    return error


class Pipeline(Protocol):
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc_info: object) -> None: ...
    def execute_command(self, *args: Argument) -> object: ...
    async def execute(self, *, raise_on_error: bool = True) -> list[Any]: ...


class Redis(Protocol):
    """What we use of redis-py's client, with types."""

    async def execute_command(self, *args: Argument) -> Any: ...  # noqa: ANN401  (any reply)
    def pipeline(self, *, transaction: bool = True) -> Pipeline: ...
    async def aclose(self) -> None: ...


def open_pool(url: str, *, name: str, max_connections: int) -> redis.asyncio.BlockingConnectionPool:
    """A bounded pool, whose connections show up as `name` in CLIENT LIST.

    When it is full a caller waits; no connection more is opened.
    """
    return pool_of(connection_options(url), name=name, max_connections=max_connections)


def pool_of(
    server: Mapping[str, Any], *, name: str, max_connections: int
) -> redis.asyncio.BlockingConnectionPool:
    """The same for a server in redis-py's words.

    Raises:
        ValueError: if there is a word that it does not know, or that is not for others to set.
    """
    kind = server.get("connection_class", Connection)
    told = {word: value for word, value in server.items() if word != "connection_class"}
    options: dict[str, Any] = {
        "client_name": name,
        "max_connections": max_connections,
        "connection_class": _impatient(kind),
        "timeout": None,
        "socket_connect_timeout": 5,
        "retry": Retry(ExponentialBackoff(cap=0.2, base=0.01), 2),
        "retry_on_error": [RedisConnectionError, RedisTimeoutError],
    }
    if "path" not in server:
        options |= {"socket_keepalive": True, "socket_keepalive_options": _keepalive_options()}
    try:
        pool = cast("Any", redis.asyncio.BlockingConnectionPool)(**told, **options)
        pool.make_connection()  # connects nothing, and takes the same parameters
    except TypeError as error:
        *_, name, _ = str(error).split("'")
        raise ValueError(f"The parameter {name} cannot be set in the URL.") from None
    return pool


def connection_options(url: str) -> dict[str, Any]:
    """How a URL's server is reached, in redis-py's words; with `sentinels` where they are asked."""
    return sentinel_options(url) if is_sentinel(url) else dict(parse_url(url))


def is_cluster(url: str) -> bool:
    return urlsplit(url).scheme in ("cluster", "clusters")


class _Impatient:
    """A connection that is given up where a reply takes too long."""

    async def read_response(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401  (redis-py's)
        connection = cast("Any", super())
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                return await connection.read_response(*args, **options)
        except TimeoutError:  # what was cancelled has closed the connection
            raise RedisTimeoutError("Redis says nothing.") from None


@cache
def _impatient(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    return type(kind.__name__, (_Impatient, kind), {})


def _keepalive_options() -> dict[int, int]:
    """What this platform has of them."""
    return {getattr(socket, k): v for k, v in _KEEPALIVE.items() if hasattr(socket, k)}


def connect(url: str, *, name: str, max_connections: int) -> Redis:
    """A client over a pool of its own."""
    pool = open_pool(url, name=name, max_connections=max_connections)
    return cast("Redis", redis.asyncio.Redis.from_pool(pool))


class RedisScript:
    """A Lua script, sent once and then called by its hash."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Redis, keys: Sequence[str], args: Sequence[Argument] = ()) -> Any:  # noqa: ANN401  (the caller knows what its script returns)
        try:
            return await self._call(client, keys, args)
        except ResponseError as error:
            raise away(error) from error

    async def _call(self, client: Redis, keys: Sequence[str], args: Sequence[Argument]) -> object:
        try:
            return await client.execute_command("EVALSHA", self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await client.execute_command("EVAL", self.text, len(keys), *keys, *args)

    def queue(
        self, pipe: Pipeline, keys: Sequence[str], args: Sequence[Argument], *, whole: bool = False
    ) -> None:
        """Add a call to a pipeline. Where its reply is a NoScriptError, send it `whole`."""
        call = ("EVAL", self.text) if whole else ("EVALSHA", self.sha)
        pipe.execute_command(*call, len(keys), *keys, *args)


__all__ = [
    "REDIS_AWAY",
    "SILENCE_SECONDS",
    "AuthenticationError",
    "NoScriptError",
    "Redis",
    "RedisError",
    "RedisScript",
    "away",
    "connect",
    "connection_options",
    "is_cluster",
    "open_pool",
]
