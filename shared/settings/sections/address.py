"""Types of server addresses. An address may contain a password."""

import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, StringConstraints

from shared.header_text import CharacterRule, problem_in

_STREAMS = re.compile(
    r"(redis|rediss|unix)://|clusters?://[^/?]+(/0?)?(\?|$)|sentinels?://[^/]+/[^/?]+"
)


def check_host(address: str) -> str:
    """Reject a malformed address here, so that no later error logs it with its password."""
    if problem := problem_in(address, CharacterRule.URL):
        raise ValueError(
            f"The address contains a character that does not belong into it. {problem}"
        )
    try:
        parts = urlsplit(address)
        for host in parts.netloc.rpartition("@")[2].split(","):
            urlsplit(f"//{host}").port  # noqa: B018  (raises)
    except ValueError:
        raise ValueError(
            "The address is malformed. In a password, write / # ? @ as %2F %23 %3F %40."
        ) from None
    return address


def _check_one(address: object) -> object:
    if isinstance(address, str) and address.startswith(("cluster://", "clusters://")):
        raise ValueError(
            "The queue does not support Redis Cluster. Set the cluster in redis.streams_url."
        )
    return address


def _check_streams(address: str) -> str:
    if not _STREAMS.match(address):
        raise ValueError(
            "The URL is not supported. Use cluster://host:6379,host:6379 without a database, or a "
            "URL that redis.url accepts."
        )
    return address


def _check_parameters(address: str) -> str:
    """Check the query parameters with the client, whose own error would not name the setting."""
    if urlsplit(address).query:
        _client(address)(address, name="", max_connections=1)
    return address


def _client(address: str) -> Callable[..., object]:
    from shared.redis.client import connect, is_cluster  # noqa: PLC0415  (imported only if the URL has parameters)

    if not is_cluster(address):
        return connect
    from shared.redis.cluster_client import ClusterClient  # noqa: PLC0415

    return ClusterClient


#: The URL of one server, or of its Sentinels.
QueueAddress = Annotated[
    str,
    BeforeValidator(_check_one),
    StringConstraints(pattern=r"^((redis|rediss|unix)://|sentinels?://[^/]+/[^/?]+)"),
    AfterValidator(check_host),
    AfterValidator(_check_parameters),
]
#: The URL of a server or of a cluster. A cluster has only database 0.
StreamsAddress = Annotated[
    str,
    AfterValidator(_check_streams),
    AfterValidator(check_host),
    AfterValidator(_check_parameters),
]
HttpAddress = Annotated[str, StringConstraints(pattern=r"^https?://"), AfterValidator(check_host)]
