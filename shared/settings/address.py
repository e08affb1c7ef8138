"""Addresses of other servers, which may hold a password."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints


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


Address = Annotated[str, AfterValidator(_check)]
HttpAddress = Annotated[str, StringConstraints(pattern=r"^https?://"), AfterValidator(_check)]
