"""`mamba webhook list`, `mamba webhook show` and `mamba webhook resend`."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from mamba.cli_errors import CommandFailed, print_now
from mamba.operate.deployment import Deployment
from mamba.operate.run import local_time
from mamba.operate.table import in_columns
from shared.webhooks.deliveries import Undelivered, WebhookDeliveries

_HEADERS = ("RUN", "DESTINATION", "EVENT", "STATE", "ENDED", "FAILED", "RESULT", "NEXT")


async def list_webhooks(
    deployment: Deployment, *, destination: str | None, limit: int, as_json: bool
) -> None:
    names, deliveries = _names(deployment, destination), WebhookDeliveries(deployment.redis)
    counts = await deliveries.counts(names)
    found = await deliveries.newest(names, limit)
    if as_json:
        shown = {name: asdict(count) for name, count in counts.items()}
        webhooks = [asdict(webhook) for webhook in found]
        print_now(json.dumps({"destinations": shown, "webhooks": webhooks}))
        return
    rows = [(name, n.pending, n.retrying, n.failed) for name, n in counts.items()]
    headers = ("DESTINATION", "PENDING", "RETRYING", "FAILED")
    print_now(in_columns(headers, rows, color=False))
    if found:
        print_now(f"\n{_table(found)}")


async def show(deployment: Deployment, run_id: str, *, as_json: bool) -> None:
    """Show the destinations that have not received the webhook of a run.

    Raises:
        CommandFailed: if no destination is waiting for it.
    """
    found = await WebhookDeliveries(deployment.redis).of_run(run_id)
    if not found:
        raise CommandFailed(
            f"No destination is waiting for a webhook of {run_id}: it was delivered or has expired,"
            " or the run is not reported or has not ended."
        )
    print_now(json.dumps([asdict(webhook) for webhook in found]) if as_json else _table(found))


async def resend(deployment: Deployment, run_id: str, destination: str | None) -> None:
    """Send the webhook of a run again.

    Raises:
        CommandFailed: if there is nothing to send.
    """
    names, deliveries = _names(deployment, destination), WebhookDeliveries(deployment.redis)
    if sent := await deliveries.resend(run_id, names):
        for name in sent:
            await deployment.record("ops.webhook_resent", run_id=run_id, destination=name)
        print_now(f"The webhook of {run_id} is due now: {', '.join(sent)}.")
        return
    run = await deployment.stores.runs.get(run_id)
    if run is None or not run.state.ended or destination or await deliveries.of_run(run_id):
        raise CommandFailed(
            f"Nothing to send for {run_id}: the selected destinations have received it, the run has"
            " not ended, or neither the run nor its webhook is stored. Run"
            f" `mamba webhook show {run_id}`."
        )
    await deliveries.report_again(run_id)
    await deployment.record("ops.webhook_resent", run_id=run_id, destination=None)
    print_now(f"The webhook of {run_id} is sent again to all destinations of its event.")


async def resend_failed(deployment: Deployment, destination: str | None) -> None:
    """Send all webhooks again that were given up."""
    names, deliveries = _names(deployment, destination), WebhookDeliveries(deployment.redis)
    count = 0
    for name in names:
        for run_id in await deliveries.failed_runs(name):
            if await deliveries.resend(run_id, [name]):
                await deployment.record("ops.webhook_resent", run_id=run_id, destination=name)
                count += 1
    print_now(f"Webhooks due again: {count}.")


def _names(deployment: Deployment, destination: str | None) -> Sequence[str]:
    configured = [*deployment.settings.webhooks]
    if not configured:
        raise CommandFailed(
            "No destination of webhooks is configured. Run the command with the settings of the"
            " workers, or see docs/frontend/webhooks.md."
        )
    if destination is None:
        return configured
    if destination not in configured:
        raise CommandFailed(
            f"No destination is named {destination!r}. Configured: {', '.join(configured)}."
        )
    return [destination]


def _table(found: Sequence[Undelivered]) -> str:
    rows = [
        (
            webhook.run_id,
            webhook.destination,
            webhook.type,
            webhook.state,
            local_time(webhook.ended_at),
            webhook.attempts,
            webhook.result or "-",
            local_time(webhook.next_at),
        )
        for webhook in found
    ]
    return in_columns(_HEADERS, rows, color=False)
