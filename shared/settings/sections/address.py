"""Types of server addresses. An address may contain a password."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, StringConstraints

from shared.header_text import CharacterRule, problem_in

_STREAMS = re.compile(
    r"(redis|rediss|unix)://|clusters?://[^/?]+(/0?)?(\?|$)|sentinels?://[^/]+/[^/?]+"
)

_QUEUE = re.compile(r"(redis|rediss|unix)://|sentinels?://[^/]+/[^/?]+")
#: Those that change the replies or the timeouts that Mamba relies on are missing.
_PARAMETERS = frozenset({"db", "username", "password", "sentinel_username", "sentinel_password"})
_FILES = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
#: The accepted values of other parameters.
_CHOICES = {
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_check_hostname": ("true", "false"),
}
_TLS_PARAMETERS = frozenset({*_FILES, *_CHOICES, "ssl_ca_path", "ssl_password", "ssl_ciphers"})
_TLS_SCHEMES = ("rediss", "sentinels", "clusters")


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


def _check_queue(address: str) -> str:
    if not _QUEUE.match(address):
        raise ValueError(
            "The URL is not supported. Use redis://host:6379/0, rediss:// for TLS, unix:///path, "
            "or sentinel://host:26379/service."
        )
    return address


def _check_parameters(address: str) -> str:
    """Check what redis-py would ignore, or report in an error that does not name the setting."""
    parts = urlsplit(address)
    _check_database(parts)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        _check_parameter(parts.scheme, name, value)
    if parts.query:
        try:
            _client(address)(address, name="", max_connections=1)
        except ValueError:
            raise
        except Exception as error:  # noqa: BLE001  (redis-py raises errors of many types)
            raise ValueError(f"The URL is not valid: {error}") from None
    return address


def _check_database(parts: SplitResult) -> None:
    path = parts.path.strip("/")
    if parts.scheme.startswith("sentinel"):
        path = path.partition("/")[2]
    if parts.scheme != "unix" and path and not (path.isascii() and path.isdecimal()):
        raise ValueError("The database after the last / must be a number, such as 0.")


def _check_parameter(scheme: str, name: str, value: str) -> None:
    if name not in _PARAMETERS and not (name in _TLS_PARAMETERS and scheme in _TLS_SCHEMES):
        hint = " It needs a URL with TLS, such as rediss://." if name in _TLS_PARAMETERS else ""
        raise ValueError(f"The parameter {name} cannot be set in the URL. Remove it.{hint}")
    choices = _CHOICES.get(name)
    if choices and value.lower() not in choices:
        raise ValueError(f"The parameter {name} must be one of: {', '.join(choices)}.")
    if name == "db" and not (value.isascii() and value.isdecimal()):
        raise ValueError("The parameter db must be a number, such as 0.")
    if name in _FILES:
        try:
            Path(value).open("rb").close()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "the path is not valid"
            raise ValueError(f"The file of {name} cannot be read: {reason}.") from None


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
    AfterValidator(check_host),
    AfterValidator(_check_queue),
    AfterValidator(_check_parameters),
]
#: The URL of a server or of a cluster. A cluster has only database 0.
StreamsAddress = Annotated[
    str,
    AfterValidator(check_host),
    AfterValidator(_check_streams),
    AfterValidator(_check_parameters),
]
HttpAddress = Annotated[str, StringConstraints(pattern=r"^https?://"), AfterValidator(check_host)]
