"""One request of a webhook: signing it, sending it, and what its response means."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx2

from shared.settings import WebhookSettings
from worker.models.retry_after import parse_retry_after

_CONNECT_SECONDS = 5.0
#: How much of a response is read, and for how long, so that its connection can be used again.
_MAX_RESPONSE_BYTES = 16 * 1024
_RESPONSE_SECONDS = 1.0
#: The status with which a receiver refuses further attempts of this event.
_GONE = 410


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    #: The status of the response, or why there is none.
    result: str
    delivered: bool = False
    #: Whether a retry is useless.
    refused: bool = False
    retry_after: float | None = None


def open_client() -> httpx2.AsyncClient:
    """Return a client that follows no redirects: they could lead an event to another host.

    The sender limits the connections.
    """
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=16)
    return httpx2.AsyncClient(follow_redirects=False, limits=limits)


def signed_headers(destination: WebhookSettings, run_id: str, body: bytes) -> dict[str, str]:
    """Return the headers of Standard Webhooks. All attempts have the same `webhook-id`."""
    from standardwebhooks.webhooks import Webhook  # noqa: PLC0415  (needed only with webhooks)

    message_id, now = f"msg_{run_id}", datetime.now(UTC)
    secrets = [destination.secret, destination.previous_secret]
    signatures = [
        Webhook(secret.get_secret_value()).sign(message_id, now, body.decode())
        for secret in secrets
        if secret is not None
    ]
    return {
        "content-type": "application/json",
        "user-agent": "mamba-server",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


async def send(
    client: httpx2.AsyncClient, destination: WebhookSettings, run_id: str, body: bytes
) -> DeliveryResult:
    """Send an event once. Whatever the receiver does, this raises no error."""
    headers = signed_headers(destination, run_id, body)
    seconds = destination.timeout_seconds
    timeout = httpx2.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds))
    status: int | None = None
    response_headers: Mapping[str, str] = {}
    try:
        async with (
            asyncio.timeout(seconds),
            client.stream(
                "POST", destination.url, content=body, headers=headers, timeout=timeout
            ) as response,
        ):
            status, response_headers = response.status_code, response.headers
            await _read_some(response)
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError, ValueError) as error:
        if status is None:
            timed_out = isinstance(error, TimeoutError | httpx2.TimeoutException)
            return DeliveryResult("timeout" if timed_out else "connection_failed")
    finally:
        client.cookies.clear()
    return _response_of(status or 0, response_headers)


async def _read_some(response: httpx2.Response) -> None:
    """Read a short response, so that its connection can be used again."""
    size = 0
    async with asyncio.timeout(_RESPONSE_SECONDS):
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > _MAX_RESPONSE_BYTES:
                return


def _response_of(status: int, headers: Mapping[str, str]) -> DeliveryResult:
    return DeliveryResult(
        str(status),
        delivered=200 <= status < 300,
        refused=status == _GONE,
        retry_after=parse_retry_after(headers),
    )
