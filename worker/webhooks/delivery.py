"""Delivers webhooks in the background of each worker."""

import asyncio
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

import httpx2
import structlog

from shared.background_task import BackgroundTask
from shared.backoff import Backoff
from shared.redis.client import REDIS_UNAVAILABLE, RedisError
from shared.runs.store import RunStore
from shared.settings import WebhookSettings
from shared.settings.live_settings import LiveSettings
from shared.streams.event_stream import EventStream
from shared.telemetry.logs import raise_location
from shared.waiting import wait_briefly
from shared.webhooks.event import event_of, read_message
from shared.webhooks.retries import retry_delay
from shared.webhooks.store import DueWebhook, WebhookStore
from worker.telemetry.metrics import WEBHOOK_ATTEMPTS, WEBHOOKS_LOST
from worker.webhooks.request import DeliveryResult, open_client, send

log = structlog.stdlib.get_logger()

_POLL_SECONDS = 0.5
#: How many runs are checked at once.
_RUNS = 16
#: Concurrent requests of one worker to one destination, so that a slow one delays no other.
_CONCURRENCY = 8


class WebhookDelivery(BackgroundTask):
    """Stores the webhooks of ended runs, and sends those that are due."""

    def __init__(
        self, store: WebhookStore, runs: RunStore, stream: EventStream, live: LiveSettings
    ) -> None:
        self._store = store
        self._runs = runs
        self._stream = stream
        self._live = live
        #: Requests in progress, by destination.
        self._sending: Counter[str] = Counter()
        #: Set when a request has ended.
        self._freed = asyncio.Event()
        #: Limits how often failures of Redis are logged.
        self._failures = Backoff(_POLL_SECONDS, _POLL_SECONDS)

    async def _run(self) -> None:
        async with open_client() as client, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._check_runs())
            while True:
                self._freed.clear()
                busy = False
                for name, destination in self._live.now.webhooks.items():
                    free = _CONCURRENCY - self._sending[name]
                    claimed = await self._claim(name, free)
                    busy |= len(claimed) == free  # more may be due
                    for webhook in claimed:
                        self._sending[name] += 1
                        tasks.create_task(self._deliver(client, name, destination, webhook))
                if busy:
                    await wait_briefly(self._freed, _POLL_SECONDS)
                else:
                    await asyncio.sleep(_POLL_SECONDS)

    async def _check_runs(self) -> None:
        while True:
            found: list[str] = []
            try:
                if self._live.now.webhooks:
                    found = await self._store.claim_runs(_RUNS)
                    for run_id in found:
                        with _unexpected_errors_logged(run_id):
                            await self._store_webhook(run_id)
            except (*REDIS_UNAVAILABLE, RedisError) as error:
                self._log_unavailable(error)
                found = []
            if len(found) < _RUNS:
                await asyncio.sleep(_POLL_SECONDS)

    async def _store_webhook(self, run_id: str) -> None:
        """Store the webhook of a run if it has ended."""
        found = await self._runs.get_with_fields(run_id)
        if found is None:
            await self._store.remove_run(run_id)
            WEBHOOKS_LOST.inc()
            log.warning(
                "webhook.lost",
                message="Webhook cannot be sent because its run was erased or has expired",
                run_id=run_id,
            )
            return
        run, fields = found
        if not run.state.ended:
            return
        names = _subscribers(self._live.now.webhooks, f"run.{run.state.value}")
        if not names:
            await self._store.remove_run(run_id)
            return
        event = event_of(run, fields, await read_message(self._stream, run))
        if await self._store.store(event, names) == "full":
            log.warning(
                "webhook.storage_full",
                message="Webhook is not stored yet because undelivered ones use all of the storage",
                run_id=run_id,
            )

    async def _claim(self, name: str, count: int) -> list[DueWebhook]:
        try:
            return await self._store.claim(name, count) if count else []
        except (*REDIS_UNAVAILABLE, RedisError) as error:
            self._log_unavailable(error)
            return []

    async def _deliver(
        self,
        client: httpx2.AsyncClient,
        name: str,
        destination: WebhookSettings,
        webhook: DueWebhook,
    ) -> None:
        try:
            with _unexpected_errors_logged(webhook.run_id):
                response = await send(client, destination, webhook.run_id, webhook.body)
                await self._record(name, webhook, response)
        except (*REDIS_UNAVAILABLE, RedisError) as error:  # it is sent again
            self._log_unavailable(error)
        finally:
            self._sending[name] -= 1
            self._freed.set()

    async def _record(self, name: str, webhook: DueWebhook, response: DeliveryResult) -> None:
        if response.delivered:
            await self._store.delivered(webhook.run_id, name)
            WEBHOOK_ATTEMPTS.labels(name, "delivered").inc()
            log.info(
                "webhook.delivered",
                message="Webhook delivered",
                run_id=webhook.run_id,
                destination=name,
                attempt=webhook.failed_attempts + 1,
            )
            return
        delay = None if response.refused else _delay(webhook, response)
        result = response.result
        if not await self._store.failed(webhook, name, result=result, retry_in=delay):
            return
        WEBHOOK_ATTEMPTS.labels(name, "given_up" if delay is None else "failed").inc()
        if delay is None:
            log.error(
                "webhook.given_up",
                message="Webhook could not be delivered and is not sent again",
                run_id=webhook.run_id,
                destination=name,
                attempt=webhook.failed_attempts + 1,
                result=result,
            )
            return
        log.warning(
            "webhook.failed",
            message="Webhook could not be delivered and will be sent again",
            run_id=webhook.run_id,
            destination=name,
            attempt=webhook.failed_attempts + 1,
            result=result,
            retry_in=round(delay, 1),
        )

    def _log_unavailable(self, error: Exception) -> None:
        self._failures.failed()
        if self._failures.should_log():
            log.warning(
                "webhook.redis_unavailable",
                message="Webhooks wait because Redis is unavailable",
                error=str(error),
            )


def _delay(webhook: DueWebhook, response: DeliveryResult) -> float | None:
    return retry_delay(
        webhook.failed_attempts + 1,
        webhook.age_ms / 1000,
        retry_after=response.retry_after,
    )


def _subscribers(destinations: Mapping[str, WebhookSettings], event: str) -> Sequence[str]:
    return [name for name, destination in destinations.items() if event in destination.events]


@contextmanager
def _unexpected_errors_logged(run_id: str) -> Generator[None]:
    """Log unexpected errors: they must affect one webhook only. It is tried again later."""
    try:
        yield
    except (*REDIS_UNAVAILABLE, RedisError):
        raise
    except Exception as error:  # noqa: BLE001
        log.error(  # noqa: TRY400  (messages of errors may hold answers)
            "webhook.broken",
            message="Webhook was not processed because of an unexpected error",
            run_id=run_id,
            error=type(error).__name__,
            where=raise_location(error),
        )
