"""Redis with Sentinels: each new connection requests the address of the primary from them.

    sentinel://user:password@host1:26379,host2:26379,host3:26379/service/0

`sentinels://` uses TLS. User, password, database and parameters apply to the primary, as in a
`redis://` URL. The parameters `sentinel_username` and `sentinel_password` apply to the Sentinels.
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
#: Longest wait for a reply of one Sentinel.
_REPLY_SECONDS = 1.0
_CREDENTIALS = ("username", "password")


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The Sentinels of a service. `options` are redis-py's, for a connection to a Sentinel."""

    addresses: tuple[tuple[str, int], ...]
    service: str
    tls: bool
    options: Mapping[str, Any] = field(repr=False)

    async def primary(self) -> tuple[str, int]:
        """Return the address of the service's primary, from the first Sentinel that has it.

        Raises:
            NoPrimary: if no Sentinel has it.
        """
        for address in self.addresses:
            try:
                found = await self._request_primary(*address)
            except (RedisError, OSError, TimeoutError):
                continue
            if found:
                return found[0].decode(), int(found[1])
        raise NoPrimary(f"No Sentinel has a primary for {self.service!r}.")

    async def _request_primary(self, host: str, port: int) -> list[bytes] | None:
        kind = SSLConnection if self.tls else Connection
        connection = cast("Any", kind)(
            host=host,
            port=port,
            socket_connect_timeout=_REPLY_SECONDS,
            socket_timeout=_REPLY_SECONDS,
            retry=Retry(NoBackoff(), 0),
            **self.options,
        )
        try:
            await connection.connect()
            await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
            return await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)


class NoPrimary(RedisConnectionError):
    """The Sentinels have no primary for the service, or none that accepts writes yet."""


class _ToPrimary:
    """A connection to the server that is the primary when it connects."""

    host: str
    port: int

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        super().__init__(**options)
        self._sentinels = sentinels

    async def _connect(self) -> None:
        self.host, self.port = await self._sentinels.primary()
        await cast("Any", super())._connect()  # noqa: SLF001  (redis-py's extension point)

    async def on_connect(self) -> None:
        connection = cast("Any", super())
        await connection.on_connect()
        await connection.send_command("ROLE")
        role: list[Any] = await connection.read_response()
        if role[0] != b"master":
            raise NoPrimary(
                "The server that the Sentinels report as primary is not the primary yet."
            )


class PrimaryConnection(_ToPrimary, Connection):
    pass


class PrimarySSLConnection(_ToPrimary, SSLConnection):
    pass


def is_sentinel(url: str) -> bool:
    return urlsplit(url).scheme in _SCHEMES


def sentinel_options(url: str) -> dict[str, Any]:
    """Return redis-py's connection options, as its `parse_url` does for other URLs.

    Raises:
        ValueError: if the URL has no Sentinel or no service.
    """
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    addresses = tuple(_address(host) for host in hosts.split(",") if host)
    if not addresses or not service:
        raise ValueError(
            "sentinel:// needs a Sentinel and a service, such as sentinel://host:26379/name."
        )
    query = dict(parse_qsl(parts.query))
    credentials_of_sentinels = {
        name: text for name in _CREDENTIALS if (text := query.pop(f"sentinel_{name}", None))
    }
    plain = f"{_SCHEMES[parts.scheme]}://{credentials}@primary/{database}?{urlencode(query)}"
    options: dict[str, Any] = dict(parse_url(plain))
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    uses_tls = parts.scheme == "sentinels"
    return {
        **options,
        "connection_class": PrimarySSLConnection if uses_tls else PrimaryConnection,
        "sentinels": Sentinels(addresses, service, uses_tls, {**tls, **credentials_of_sentinels}),
    }


def _address(host: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    return (name.strip("[]"), int(port)) if name and port else (host.strip("[]"), _PORT)
