"""The webhooks that are still to be delivered, in Redis.

Admission adds each run to a list. A worker checks the runs of that list, and stores the webhook of
each one that has ended. From then on, each destination has its own list of what to send, and the
webhook no longer depends on the run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.admission import WEBHOOK_CHECK_MS
from shared.webhooks import scripts
from shared.webhooks.event import WebhookEvent

#: How long a webhook is stored after it was stored or given up. Attempts end after a day.
KEPT_MS = 48 * 3_600_000
#: The most bytes of all stored webhooks. Above half of it, they are stored without messages.
MAX_BYTES = 128 * 1024 * 1024
#: How long a worker holds a webhook. Longer than any attempt.
LEASE_MS = 60_000

#: What was stored: everything, the event without its message, nothing because too much is stored
#: already, or nothing because the webhook was stored before or the run is no longer listed.
Stored = Literal["whole", "short", "full", "known"]


@dataclass(frozen=True, slots=True)
class DueWebhook:
    """A webhook to send to one destination."""

    run_id: str
    body: bytes
    failed_attempts: int
    #: When the attempts began, in Unix milliseconds.
    since: int
    #: Milliseconds since then.
    age_ms: int


class WebhookStore:
    """Stores webhooks until they are delivered, or given up."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def claim_runs(self, count: int) -> list[str]:
        """Return runs that may have ended. They are returned again in a while, unless removed."""
        ids = await scripts.claim_runs(
            self._redis,
            runs=keys.WEBHOOK_RUNS,
            check_ms=WEBHOOK_CHECK_MS,
            count=count,
            ttl_ms=KEPT_MS,
        )
        return [run_id.decode() for run_id in ids]

    async def remove_run(self, run_id: str) -> None:
        """Remove a run that is not reported."""
        await self._redis.execute_command("ZREM", keys.WEBHOOK_RUNS, run_id)

    async def store(self, event: WebhookEvent, destinations: Sequence[str]) -> Stored:
        """Store the webhook of a run, due now for each destination, and remove the run."""
        reply = await scripts.store(
            self._redis,
            webhook=keys.webhook(event.run_id),
            runs=keys.WEBHOOK_RUNS,
            stored_bytes=keys.WEBHOOK_BYTES,
            stored_runs=keys.WEBHOOK_STORED,
            due=[keys.webhook_due(name) for name in destinations],
            run_id=event.run_id,
            event_type=event.type,
            event=event.body(),
            short=event.without_message().body(),
            ended_at=event.ended_at,
            max_bytes=MAX_BYTES,
            ttl_ms=KEPT_MS,
            destinations=destinations,
        )
        return cast("Stored", reply.decode())

    async def claim(self, destination: str, count: int) -> list[DueWebhook]:
        """Return webhooks to send now. Unless the result is recorded, they are returned again."""
        rows = await scripts.claim(
            self._redis,
            due=keys.webhook_due(destination),
            destination=destination,
            webhook_pattern=keys.webhook("%s"),
            count=count,
            lease_ms=LEASE_MS,
            ttl_ms=KEPT_MS,
        )
        return [DueWebhook(row[0].decode(), *row[1:]) for row in rows]

    async def delivered(self, run_id: str, destination: str) -> None:
        await scripts.delivered(
            self._redis,
            webhook=keys.webhook(run_id),
            due=keys.webhook_due(destination),
            failed=keys.webhook_failed(destination),
            stored_bytes=keys.WEBHOOK_BYTES,
            stored_runs=keys.WEBHOOK_STORED,
            run_id=run_id,
            destination=destination,
        )

    async def failed(
        self, webhook: DueWebhook, destination: str, *, result: str, retry_in: float | None
    ) -> bool:
        """Record a failed attempt. Without `retry_in` (seconds), the webhook is given up.

        Returns whether it was recorded: an attempt from before a delivery or a resend is ignored.
        """
        reply = await scripts.attempt_failed(
            self._redis,
            webhook=keys.webhook(webhook.run_id),
            due=keys.webhook_due(destination),
            failed=keys.webhook_failed(destination),
            stored_bytes=keys.WEBHOOK_BYTES,
            stored_runs=keys.WEBHOOK_STORED,
            run_id=webhook.run_id,
            destination=destination,
            since=webhook.since,
            result=result,
            delay_ms=-1 if retry_in is None else int(retry_in * 1000),
            ttl_ms=KEPT_MS,
        )
        return reply == 1
