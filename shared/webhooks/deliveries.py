"""The webhooks that are not delivered, for operators."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.redis import keys
from shared.redis.client import Redis, redis_time_ms
from shared.redis.numbers import whole_number
from shared.webhooks import scripts
from shared.webhooks.store import KEPT_MS, LEASE_MS

_SINCE = "since:"


@dataclass(frozen=True, slots=True)
class WebhookCounts:
    """How many webhooks a destination has not received.

    `retrying` ones have failed several times: their next attempt is further away than a lease.
    """

    pending: int
    retrying: int
    failed: int


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A webhook that a destination has not received. Times are Unix milliseconds."""

    run_id: str
    destination: str
    type: str
    state: Literal["pending", "failed"]
    ended_at: int
    #: Failed attempts since it was sent first, or again by an operator.
    attempts: int
    #: The result of the last attempt: a status, or why there was none.
    result: str | None
    #: When the next attempt is due; a worker that sends it now holds it until then.
    next_at: int | None


class WebhookDeliveries:
    """Lists the webhooks that are not delivered, and sends them again."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def counts(self, destinations: Sequence[str]) -> dict[str, WebhookCounts]:
        if not destinations:
            return {}
        now = await redis_time_ms(self._redis)
        leased_until = now + LEASE_MS
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in destinations:
                due = keys.webhook_due(name)
                pipe.execute_command("ZCOUNT", due, "-inf", leased_until)
                pipe.execute_command("ZCOUNT", due, f"({leased_until}", "+inf")
                pipe.execute_command(
                    "ZCOUNT", keys.webhook_failed(name), f"({now - KEPT_MS}", "+inf"
                )
            replies: list[int] = await pipe.execute()
        rows = zip(replies[::3], replies[1::3], replies[2::3], strict=True)
        return {name: WebhookCounts(*row) for name, row in zip(destinations, rows, strict=True)}

    async def newest(self, destinations: Iterable[str], count: int) -> list[Undelivered]:
        """Return up to `count` webhooks of each destination.

        Those given up last are first, then those due first.
        """
        found: list[Undelivered] = []
        for name in destinations:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.execute_command("ZRANGE", keys.webhook_failed(name), 0, count - 1, "REV")
                pipe.execute_command("ZRANGE", keys.webhook_due(name), 0, count - 1)
                failed, due = await pipe.execute()
            rows = await self._read([(run_id.decode(), name) for run_id in (*failed, *due)])
            found += rows[:count]
        return found

    async def failed_runs(self, destination: str) -> list[str]:
        """Return the ids of the runs whose webhook was given up."""
        run_ids: list[bytes] = await self._redis.execute_command(
            "ZRANGE", keys.webhook_failed(destination), 0, -1
        )
        return [run_id.decode() for run_id in run_ids]

    async def of_run(self, run_id: str) -> list[Undelivered]:
        """Return the webhook of a run, by the destinations that have not received it."""
        names: list[bytes] = await self._redis.execute_command("HKEYS", keys.webhook(run_id))
        fields = sorted(name.decode() for name in names)
        destinations = [f.removeprefix(_SINCE) for f in fields if f.startswith(_SINCE)]
        return await self._read([(run_id, name) for name in destinations])

    async def resend(self, run_id: str, destinations: Iterable[str]) -> list[str]:
        """Make the webhook of a run due now. Returns the destinations that will receive it."""
        return [name for name in destinations if await self._resend(run_id, name)]

    async def report_again(self, run_id: str) -> None:
        """Send the webhook of an ended run again to all destinations, from its stream."""
        await scripts.report_again(
            self._redis, runs=keys.WEBHOOK_RUNS, run_id=run_id, ttl_ms=KEPT_MS
        )

    async def _resend(self, run_id: str, destination: str) -> bool:
        reply = await scripts.resend(
            self._redis,
            webhook=keys.webhook(run_id),
            due=keys.webhook_due(destination),
            failed=keys.webhook_failed(destination),
            stored_bytes=keys.WEBHOOK_BYTES,
            stored_runs=keys.WEBHOOK_STORED,
            run_id=run_id,
            destination=destination,
            ttl_ms=KEPT_MS,
        )
        return reply == 1

    async def _read(self, wanted: Sequence[tuple[str, str]]) -> list[Undelivered]:
        """Return the webhooks of these runs and destinations that are not delivered."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for run_id, name in wanted:
                own = (f"{_SINCE}{name}", f"attempts:{name}", f"result:{name}")
                pipe.execute_command("HMGET", keys.webhook(run_id), "type", "ended_at", *own)
                pipe.execute_command("ZSCORE", keys.webhook_due(name), run_id)
            replies = await pipe.execute()
        rows = zip(wanted, replies[::2], replies[1::2], strict=True)
        found = [_undelivered(*ids, fields, due) for ids, fields, due in rows]
        return [row for row in found if row is not None]


def _undelivered(
    run_id: str, destination: str, fields: Sequence[bytes | None], due: bytes | None
) -> Undelivered | None:
    event_type, ended_at, since, attempts, result = fields
    if event_type is None or since is None:  # delivered, erased, or expired meanwhile
        return None
    return Undelivered(
        run_id=run_id,
        destination=destination,
        type=event_type.decode(),
        state="failed" if due is None else "pending",
        ended_at=whole_number(ended_at) or 0,
        attempts=whole_number(attempts) or 0,
        result=result.decode() if result else None,
        next_at=None if due is None else int(float(due)),
    )
