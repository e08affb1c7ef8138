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
    checks = [_check(name, destination, counts[name]) for name, destination in destinations.items()]
    return await asyncio.gather(*checks)


async def _check(name: str, destination: WebhookSettings, count: WebhookCounts) -> Diagnosis:
    part = f"webhook {name}"
    host = urlsplit(destination.url).hostname or ""
    failing = bool(count.retrying or count.failed)
    numbers = f"{count.pending} pending"
    if failing:
        numbers = f"{count.retrying} fail repeatedly, {count.failed} were given up"
    if not await _resolves(host):
        message = f"the host {host} cannot be resolved here; {numbers}"
        fix = f"correct webhooks.{name}.url, unless only the workers can resolve the host"
        return Diagnosis(part, "warning", message, fix)
    if failing:
        return Diagnosis(part, "warning", numbers, "see `mamba webhook list`")
    return Diagnosis(part, "ok", numbers)


async def _resolves(host: str) -> bool:
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            await asyncio.get_running_loop().getaddrinfo(host, None)
    except (OSError, UnicodeError, TimeoutError):
        return False
    return True
