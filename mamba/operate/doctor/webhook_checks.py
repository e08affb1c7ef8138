"""Checks of the destinations of webhooks. Nothing is sent to them."""

import asyncio
from urllib.parse import urlsplit

from mamba.operate.deployment import Deployment
from mamba.operate.doctor.diagnosis import Diagnosis
from shared.settings import WebhookSettings
from shared.webhooks.deliveries import WebhookCounts, WebhookDeliveries

_RESOLVE_SECONDS = 3.0


async def check_webhooks(deployment: Deployment) -> list[Diagnosis]:
    """Check that the host of each destination resolves, and that no webhook was given up."""
    destinations = deployment.settings.webhooks
    counts = await WebhookDeliveries(deployment.redis).counts([*destinations])
    return [
        await _check(name, destination, counts[name]) for name, destination in destinations.items()
    ]


async def _check(name: str, destination: WebhookSettings, count: WebhookCounts) -> Diagnosis:
    part = f"webhook {name}"
    host = urlsplit(destination.url).hostname
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            await asyncio.get_running_loop().getaddrinfo(host, None)
    except (OSError, UnicodeError, TimeoutError):
        fix = f"correct webhooks.{name}.url, unless only the workers can resolve the host"
        return Diagnosis(part, "warning", f"the host {host} cannot be resolved here", fix)
    if count.retrying or count.failed:
        message = f"{count.retrying} fail repeatedly, {count.failed} were given up"
        return Diagnosis(part, "warning", message, "see `mamba webhook list`")
    return Diagnosis(part, "ok", f"{count.pending} pending")
