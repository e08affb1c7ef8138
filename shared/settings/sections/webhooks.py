"""The destinations of webhooks."""

import base64
import binascii
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from shared.settings.ip_addresses import is_loopback, parse_ip_address
from shared.settings.sections.address import HttpAddress
from shared.settings.sections.base import Section

WebhookEventType = Literal["run.succeeded", "run.failed", "run.cancelled"]

_SECRET_PREFIX = "whsec_"  # noqa: S105
#: Sizes that Standard Webhooks permits, in bytes.
_MIN_SECRET, _MAX_SECRET = 24, 64
#: Ends of the names of hosts on private networks.
_PRIVATE_DOMAINS = (".local", ".internal", ".svc", ".lan", ".home.arpa")


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("The URL has no host. Write it as https://app.example.com/hooks.")
    if "@" in parts.netloc:
        raise ValueError("The URL must not contain a login. Remove it; the signature replaces it.")
    if parts.fragment:
        raise ValueError("The URL must not contain a fragment. Remove # and what follows it.")
    if parts.scheme != "https" and not _is_private(parts.hostname):
        raise ValueError(
            "The URL of a public host must start with https://. Events contain answers."
        )
    return url


def _is_private(host: str) -> bool:
    address = parse_ip_address(host)
    if address is not None:
        return _is_private_address(address)
    return is_loopback(host) or "." not in host or host.endswith(_PRIVATE_DOMAINS)


def _is_private_address(address: IPv4Address | IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_private and not mapped.is_unspecified


def _check_secret(secret: SecretStr) -> SecretStr:
    if not _MIN_SECRET <= len(_decode(secret.get_secret_value())) <= _MAX_SECRET:
        raise ValueError(
            f"The secret must be {_SECRET_PREFIX} and the Base64 form of {_MIN_SECRET} to "
            f'{_MAX_SECRET} random bytes. Create one with: echo "{_SECRET_PREFIX}$(openssl rand '
            '-base64 32)"'
        )
    return secret


def _decode(secret: str) -> bytes:
    """Return the bytes of a secret; none if it has another form."""
    if not secret.startswith(_SECRET_PREFIX):
        return b""
    encoded = secret.removeprefix(_SECRET_PREFIX).rstrip("=")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        return b""


#: Lowercase, as environment variables are case-insensitive.
WebhookName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
WebhookSecret = Annotated[SecretStr, AfterValidator(_check_secret)]
WebhookUrl = Annotated[HttpAddress, AfterValidator(_check_url)]


class WebhookSettings(Section):
    """A destination of webhooks."""

    url: WebhookUrl = Field(
        description="URL that events are sent to; https://, unless the host is on a private network"
    )
    secret: WebhookSecret = Field(
        description="Secret that signs the events: `whsec_` and the Base64 form of 24 to 64 bytes"
    )
    previous_secret: WebhookSecret | None = Field(
        default=None, description="Secret that also signs them while receivers change to `secret`"
    )
    events: tuple[WebhookEventType, ...] = Field(
        default=("run.succeeded", "run.failed", "run.cancelled"),
        min_length=1,
        description="Events to send",
    )
    timeout_seconds: float = Field(
        default=10, ge=0.1, le=30, description="Maximum time of a delivery attempt"
    )
