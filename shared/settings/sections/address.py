"""Addresses of other servers, which may hold a password."""

import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, StringConstraints

_STREAMS = re.compile(
    r"(redis|rediss|unix)://|clusters?://[^/?]+(/0?)?(\?|$)|sentinels?://[^/]+/[^/?]+"
)


def _check(address: str) -> str:
    """What cannot be taken apart fails here, and not where it would be quoted in a log."""
    try:
        parts = urlsplit(address)
        for host in parts.netloc.rpartition("@")[2].split(","):
            urlsplit(f"//{host}").port  # noqa: B018  (raises)
    except ValueError:
        raise ValueError(
            "Not an address that can be read. In a password write / # ? @ as %2F %23 %3F %40."
        ) from None
    return address


def _check_one(address: object) -> object:
    if isinstance(address, str) and address.startswith(("cluster://", "clusters://")):
        raise ValueError("The queue stays on one node: name a cluster in redis.streams_url.")
    return address


def _check_streams(address: str) -> str:
    if not _STREAMS.match(address):
        raise ValueError(
            "Write cluster://host:6379,host:6379 without a database, or what redis.url may be."
        )
    return address


def _check_parameters(address: str) -> str:
    """By the client itself, which would fail later and without the setting's name."""
    if urlsplit(address).query:
        _client(address)(address, name="", max_connections=1)
    return address


def _client(address: str) -> Callable[..., object]:
    from shared.redis.client import connect, is_cluster  # noqa: PLC0415  (rarely needed)

    if not is_cluster(address):
        return connect
    from shared.redis.cluster_client import ClusterClient  # noqa: PLC0415

    return ClusterClient


#: Where one server is, itself or by its Sentinels.
QueueAddress = Annotated[
    str,
    BeforeValidator(_check_one),
    StringConstraints(pattern=r"^((redis|rediss|unix)://|sentinels?://[^/]+/[^/?]+)"),
    AfterValidator(_check),
    AfterValidator(_check_parameters),
]
#: The same, or a cluster, which has no database but 0.
StreamsAddress = Annotated[
    str,
    AfterValidator(_check_streams),
    AfterValidator(_check),
    AfterValidator(_check_parameters),
]
HttpAddress = Annotated[str, StringConstraints(pattern=r"^https?://"), AfterValidator(_check)]
