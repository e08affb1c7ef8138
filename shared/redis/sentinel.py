"""Redis behind Sentinels: where its primary is, asked for at each connect.

    sentinel://user:password@one:26379,two:26379,three:26379/service/0

`sentinels://` is the same over TLS. The user, the password, the database and the parameters are
those of the primary, as in a `redis://` URL; the Sentinels' own are the parameters
`sentinel_username` and `sentinel_password`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

_PORT = 26379
_SCHEMES = {"sentinel": "redis", "sentinels": "rediss"}
#: A Sentinel that says nothing for so long is passed over.
_ANSWER_SECONDS = 1.0
_OWN = ("username", "password")


@dataclass(frozen=True, slots=True)
class Sentinels:
    """`options` are redis-py's, for a connection to any of them."""

    addresses: tuple[tuple[str, int], ...]
    service: str
    tls: bool
    options: Mapping[str, Any] = field(repr=False)

    async def primary(self) -> tuple[str, int]:
        """The address of the service's primary, by the first Sentinel that knows it.

        Raises:
            RedisConnectionError: if none does.
        """
        for address in self.addresses:
            try:
                found = await self._ask(*address)
            except (RedisError, OSError, TimeoutError):
                continue
            if found:
                return found[0].decode(), int(found[1])
        raise RedisConnectionError(f"No Sentinel knows a primary of {self.service!r}.")

    async def _ask(self, host: str, port: int) -> list[bytes] | None:
        kind = SSLConnection if self.tls else Connection
        connection = cast("Any", kind)(
            host=host,
            port=port,
            socket_connect_timeout=_ANSWER_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
            **self.options,
        )
        try:
            await connection.connect()
            await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
            return await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)


class _AtPrimary:
    """A connection that goes to whichever server is the primary when it is made."""

    host: str
    port: int

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        super().__init__(**options)
        self._sentinels = sentinels

    async def _connect(self) -> None:
        self.host, self.port = await self._sentinels.primary()
        await cast("Any", super())._connect()  # noqa: SLF001  (what redis-py has subclasses define)

    async def on_connect(self) -> None:
        connection = cast("Any", super())
        await connection.on_connect()
        await connection.send_command("ROLE")
        role: list[Any] = await connection.read_response()
        if role[0] != b"master":
            raise RedisConnectionError("The Sentinels named a server that is not the primary yet.")


class PrimaryConnection(_AtPrimary, Connection):
    pass


class PrimarySSLConnection(_AtPrimary, SSLConnection):
    pass


def is_sentinel(url: str) -> bool:
    return urlsplit(url).scheme in _SCHEMES


def sentinel_options(url: str) -> dict[str, Any]:
    """What `redis.asyncio.connection.parse_url` makes of other URLs, with `sentinels`.

    Raises:
        ValueError: if it names no Sentinel or no service.
    """
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    addresses = tuple(_address(host) for host in hosts.split(",") if host)
    if not addresses or not service:
        raise ValueError(
            "sentinel://: name a Sentinel and a service, as sentinel://host:26379/name"
        )
    query = dict(parse_qsl(parts.query))
    own = {name: text for name in _OWN if (text := query.pop(f"sentinel_{name}", None))}
    plain = f"{_SCHEMES[parts.scheme]}://{credentials}@primary/{database}?{urlencode(query)}"
    options: dict[str, Any] = dict(parse_url(plain))
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    secured = parts.scheme == "sentinels"
    return {
        **options,
        "connection_class": PrimarySSLConnection if secured else PrimaryConnection,
        "sentinels": Sentinels(addresses, service, secured, {**tls, **own}),
    }


def _address(host: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    return (name.strip("[]"), int(port)) if name and port else (host.strip("[]"), _PORT)
