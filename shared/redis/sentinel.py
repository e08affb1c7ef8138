"""Redis with Sentinels: each new connection requests the address of the primary from them.

When they report another primary, the connections to the previous one are aborted.

    sentinel://user:password@host1:26379,host2:26379,host3:26379/service/0

`sentinels://` uses TLS. User, password, database and parameters apply to the primary, as in a
`redis://` URL. The parameters `sentinel_username` and `sentinel_password` apply to the Sentinels.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import parse_qsl, urlencode, urlsplit
from weakref import WeakSet

import structlog
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from shared.single_flight import SingleFlightCache

log = structlog.stdlib.get_logger()

Address = tuple[str, int]

_PORT = 26379
_SCHEMES = {"sentinel": "redis", "sentinels": "rediss"}
#: Longest wait for a reply of one Sentinel.
_REPLY_SECONDS = 1.0
#: Longest wait for the next Sentinel once one has replied: it may have an old configuration.
_OTHERS_SECONDS = 0.3
_CREDENTIALS = ("username", "password")


class PrimaryLink(Protocol):
    """A connection to a server that was the primary when it connected."""

    primary: Address

    def abort(self) -> None: ...


class _Report(NamedTuple):
    """The primary that a Sentinel reports. The newest configuration has the highest epoch."""

    epoch: int
    address: Address


@dataclass(eq=False, slots=True)
class Sentinels:
    """The Sentinels of a service. `options` are redis-py's, for a connection to a Sentinel."""

    addresses: tuple[Address, ...]
    service: str
    tls: bool
    options: Mapping[str, Any] = field(repr=False)
    #: The primary, as last reported.
    current: Address | None = None
    links: WeakSet[PrimaryLink] = field(default_factory=WeakSet["PrimaryLink"], repr=False)
    _request: SingleFlightCache[Address] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._request = SingleFlightCache(self._request_primary)

    @property
    def connection_class(self) -> type[Connection]:
        """The class of connections to the Sentinels."""
        return SSLConnection if self.tls else Connection

    async def primary(self, *, changed: bool = False) -> Address:
        """Return the address of the service's primary, as the newest configuration has it.

        Concurrent callers share one request. With `changed`, a request that is in progress is not
        used: it may have begun before the change. If the primary has changed, connections to the
        previous one are aborted, because it may still accept writes, which are lost.

        Raises:
            NoPrimary: if no Sentinel has it.
        """
        if changed:
            self._request.invalidate()
        return await self._request.get(max_age_seconds=0)

    async def _request_primary(self) -> Address:
        reports = await self._reports()
        if not reports:
            raise NoPrimary(f"No Sentinel has a primary for {self.service!r}.")
        address = max(reports).address
        if self.current not in (None, address):
            log.warning(
                "redis.primary_changed",
                message="The Sentinels report another primary; connections to the old one end",
                primary=f"{address[0]}:{address[1]}",
            )
        self.current = address
        for link in list(self.links):
            if link.primary != address:
                link.abort()
        return address

    def join(self, link: PrimaryLink) -> None:
        """Add a connection that is open, to be aborted when the primary changes.

        Raises:
            RedisConnectionError: if the primary has changed while it connected.
        """
        if self.current != link.primary:
            raise RedisConnectionError("The primary has changed.")
        self.links.add(link)

    async def _reports(self) -> list[_Report]:
        """Return the reports of the Sentinels that respond soon after the first one."""
        pending = {asyncio.create_task(self._request_report(*at)) for at in self.addresses}
        reports: list[_Report] = []
        try:
            while pending:
                done, pending = await asyncio.wait(
                    pending,
                    timeout=_OTHERS_SECONDS if reports else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not done:
                    break
                reports += [report for task in done if (report := task.result())]
        finally:
            for task in pending:
                task.cancel()
        return reports

    async def _request_report(self, host: str, port: int) -> _Report | None:
        connection = cast("Any", self.connection_class)(
            host=host, port=port, retry=Retry(NoBackoff(), 0), **self.options
        )
        try:
            async with asyncio.timeout(_REPLY_SECONDS):
                await connection.connect()
                await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
                address: list[bytes] | None = await connection.read_response()
                await connection.send_command("SENTINEL", "MASTER", self.service)
                state: list[bytes] = await connection.read_response()
        except (RedisError, OSError):
            return None
        finally:
            await connection.disconnect(nowait=True)
        if not address:
            return None
        fields = dict(zip(state[::2], state[1::2], strict=False))
        epoch = int(fields.get(b"config-epoch", 0))
        return _Report(epoch, (address[0].decode(), int(address[1])))


class NoPrimary(RedisConnectionError):
    """The Sentinels have no primary for the service, or none that accepts writes yet."""


class _ToPrimary:
    """A connection to the server that is the primary when it connects."""

    host: str
    port: int
    primary: Address

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        super().__init__(**options)
        self._sentinels = sentinels

    async def _connect(self) -> None:
        self.primary = self.host, self.port = await self._sentinels.primary()
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
        self._sentinels.join(cast("PrimaryLink", self))


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
    sentinels, options = _parse(url)
    kind = PrimarySSLConnection if sentinels.tls else PrimaryConnection
    return {**options, "connection_class": kind, "sentinels": sentinels}


@cache
def _parse(url: str) -> tuple[Sentinels, Mapping[str, Any]]:
    """Return the Sentinels, which all connections of a process share, and redis-py's options."""
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
    of_sentinels = {**tls, **credentials_of_sentinels}
    return Sentinels(addresses, service, uses_tls, of_sentinels), options


def _address(host: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    return (name.strip("[]"), int(port)) if name and port else (host.strip("[]"), _PORT)
