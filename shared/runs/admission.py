"""Admission: accepts or refuses a run in one atomic step.

One script checks the limits, makes the run the chat's newest, queues its job, and wakes a worker. A
refused run leaves no trace. The script is idempotent: if the run's hash exists, the run has already
been admitted. `shared/runs/split_admission.py` handles runs on other servers than the queue's.

Checks run in this order; the first one that fails decides the response: the idempotency key, a
pause of the queue's intake, the chat's live run, the owner's rate, the owner's budget, the owner's
live runs, the owner's bytes, the queue depth, and the memory of Redis. Only an admitted run counts
against the rate here; `api/chat/continuation.py` also counts refused tool responses.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from shared.errors import (
    ChatQueueFull,
    IdempotencyMismatch,
    IntakePaused,
    OwnerStorageFull,
    QueueFull,
    Refusal,
    StorageFull,
    TooManyRuns,
)
from shared.limits import rate_limit
from shared.limits.budgets import UsageReport, UsedUp, encode_budget
from shared.limits.owner_bytes import RUN_BYTES
from shared.queue.job import RunChat, encode_job
from shared.rate_limit_status import RateLimitStatus
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.admission_scripts import AdmissionParameters, Reply, admit
from shared.runs.run import Run
from shared.runs.store import hash_fields
from shared.settings import BudgetSettings, LimitSettings, WhenBusy

#: How long a run waits for those that it supersedes. The API process that stops them extends the
#: wait until they have ended, so this is how long the new answer waits if the process dies.
SUPERSEDE_SECONDS = 1.0

#: How often the state of a run is checked that webhooks will report. The process that ends the run
#: makes it due at once, so the checks are only for the case that this process crashes.
WEBHOOK_CHECK_MS = 30_000

#: Bounds of `Retry-After` under overload, in seconds.
_MIN_RETRY_AFTER, _MAX_RETRY_AFTER = 1.0, 30.0
#: The longest `Retry-After` until stored answers expire. A live run may end before that.
_MAX_EXPIRY_RETRY = 300.0


@dataclass(frozen=True, slots=True)
class Idempotency:
    """An idempotency key and the fingerprint of its request."""

    key: str
    fingerprint: str

    @classmethod
    def of(cls, key: str, request: bytes) -> "Idempotency":
        return cls(key, sha256(request).hexdigest())


@dataclass(frozen=True, slots=True)
class Admitted:
    """The admitted run, or the earlier run of the same idempotency key.

    If it supersedes other runs, its job is due in `SUPERSEDE_SECONDS`. `JobQueue.defer` extends
    that, and `JobQueue.make_due` ends it.
    """

    run_id: str
    superseded: tuple[str, ...]
    rate_limit_status: RateLimitStatus | None
    #: The states of the owner's budgets before the run.
    budgets: tuple[RateLimitStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class NotNewest:
    """The chat has a newer run than the one to continue."""


@dataclass(frozen=True, slots=True)
class Occupied:
    """The chat has a live run, and the request neither supersedes it nor waits for it.

    It names a run whose job is gone, if there is one.
    """

    run_id: str


class Admission:
    """Admission in one step, because runs and queue are on the same server."""

    def __init__(self, redis: Redis, *, live_ttl: float) -> None:
        self._redis = redis
        self._ttl_ms = int(live_ttl * 1000)

    async def admit(
        self,
        run: Run,
        job: RunChat,
        limits: LimitSettings,
        *,
        when_busy: WhenBusy = "reject",
        max_waiting: int = 1,
        idempotency: Idempotency | None = None,
        webhooks: bool = False,
        weight: float = 1.0,
        budget: BudgetSettings | None = None,
    ) -> Admitted | Occupied | NotNewest:
        """Admit a run. Extends the retention of the continued runs to that of the new run.

        With `webhooks`, its end will be reported. While other owners wait, the owner gets a share
        of the workers in proportion to `weight`.

        Raises:
            IntakePaused: if an operator has paused the intake of the queue.
            RateLimited: if the owner has started too many runs.
            BudgetExceeded: if the owner's `budget` is used up.
            ChatQueueFull: if `max_waiting` runs wait for the chat's live run.
            TooManyRuns: if the owner has too many live runs.
            OwnerStorageFull: if the owner's runs occupy too much of Redis.
            QueueFull: if too many runs wait in the queue.
            StorageFull: if Redis has too little memory left.
            IdempotencyMismatch: if the key was used for another request.
        """
        queue, payload = keys.queue(run.queue), encode_job(job)
        parameters = AdmissionParameters(
            chat=keys.chat(run.owner, run.chat_id),
            chat_runs=keys.chat_runs(run.owner, run.chat_id),
            chat_queue=keys.chat_queue(run.owner, run.chat_id),
            admission_mark=self._mark(run.id),
            job=keys.job(run.id),
            queue=queue,
            queue_names=keys.QUEUES,
            wakeup=keys.wakeup(queue),
            fair_job=keys.fair_job(run.id),
            fair_owner=_fair_owner(run),
            rate=keys.rate(run.owner),
            live_runs=keys.live_runs(run.owner),
            owner_usage=keys.owner_usage(run.owner),
            owner_bytes=keys.owner_bytes(run.owner),
            owner_stored=keys.owner_stored(run.owner),
            webhook_runs=keys.WEBHOOK_RUNS,
            memory_checked=keys.MEMORY_CHECKED,
            idempotency=keys.idempotency(run.owner, idempotency.key) if idempotency else None,
            run_id=run.id,
            queue_name=run.queue,
            payload=payload,
            ttl_ms=self._ttl_ms,
            weight=weight,
            owner=run.owner,
            plan=job.plan or "",
            when_busy=when_busy,
            supersede_ms=int(SUPERSEDE_SECONDS * 1000),
            max_waiting=max_waiting,
            fingerprint=idempotency.fingerprint if idempotency else "",
            continued_runs=" ".join(run.continues),
            requests_per_minute=limits.requests_per_minute,
            burst=limits.burst,
            budget=encode_budget(budget),
            max_live_runs=limits.live_runs,
            max_queue_depth=limits.queue_depth,
            max_owner_bytes=limits.owner_bytes,
            run_bytes=len(payload) + RUN_BYTES,
            max_memory_share=limits.redis_memory,
            webhook_check_ms=WEBHOOK_CHECK_MS if webhooks else 0,
        )
        return _outcome(await self._run_script(run, parameters), limits, budget)

    async def _run_script(self, run: Run, parameters: AdmissionParameters) -> Reply:
        return await admit(
            self._redis,
            **parameters,
            run_key_pattern=keys.run("%s"),
            stream_key_pattern=keys.stream("%s"),
            run_fields=hash_fields(run),
        )

    def _mark(self, run_id: str) -> str:
        """Return the key that exists if the run has been admitted."""
        return keys.run(run_id)

    async def find_idempotent_run(self, owner: str, idempotency: Idempotency) -> str | None:
        """Return the id of the run that an earlier request with this key started.

        Raises:
            IdempotencyMismatch: if the key was used for another request.
        """
        used: list[bytes | None] = await self._redis.execute_command(
            "HMGET", keys.idempotency(owner, idempotency.key), "run", "fingerprint"
        )
        run_id, fingerprint = used
        if run_id is None or fingerprint is None:
            return None
        if fingerprint.decode() != idempotency.fingerprint:
            raise IdempotencyMismatch
        return run_id.decode()


def _fair_owner(run: Run) -> str:
    of_class = keys.background_owner if run.priority == "background" else keys.fair_owner
    return of_class(keys.queue(run.queue), run.owner)


def _outcome(
    reply: Reply, limits: LimitSettings, budget: BudgetSettings | None
) -> Admitted | Occupied | NotNewest:
    verdict, run_id, superseded, number, *usage = reply
    report = UsageReport.parse(decode_field(usage[0])) if usage else None
    match verdict:
        case b"admitted":
            others = tuple(decode_field(superseded).split())
            status = rate_limit.status("runs", int(number), limits)
            budgets = tuple(report.statuses(budget)) if report and budget else ()
            return Admitted(decode_field(run_id), others, status, budgets)
        case b"occupied":
            return Occupied(decode_field(run_id))
        case b"not_newest":
            return NotNewest()
        case b"budget" if report and budget:
            raise UsedUp.of(int(number), budget, report).refusal(budget, report)
        case _:
            raise _refusal(verdict, int(number), limits)


def _refusal(verdict: bytes | int, number: int, limits: LimitSettings) -> Refusal:
    refusals: dict[bytes | int, Callable[[], Refusal]] = {
        b"chat_queue": lambda: ChatQueueFull(retry_after=_retry_after(number)),
        b"rate": lambda: rate_limit.exceeded("runs", number, limits),
        b"runs": lambda: _too_many_runs(number, limits),
        b"queue": lambda: QueueFull(retry_after=_retry_after(number)),
        b"bytes": lambda: _too_many_bytes(number, limits),
        b"memory": StorageFull,
        b"paused": IntakePaused,
        b"mismatch": IdempotencyMismatch,
    }
    return refusals[verdict]()


def decode_field(reply: bytes | int) -> str:
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def _too_many_runs(oldest_ms: int, limits: LimitSettings) -> TooManyRuns:
    maximum = limits.live_runs
    return TooManyRuns(
        f"You can have at most {maximum:,} live answers. Wait for one to end, or stop one.",
        retry_after=_retry_after(oldest_ms),
        rate_limit=RateLimitStatus("live-runs", maximum, 0),
    )


def _too_many_bytes(expiry_ms: int, limits: LimitSettings) -> OwnerStorageFull:
    return OwnerStorageFull(
        f"Your chats occupy too much storage: at most {limits.owner_bytes:,} bytes are allowed."
        " Delete chats, or wait until stored answers expire.",
        retry_after=min(max(expiry_ms / 1000, _MIN_RETRY_AFTER), _MAX_EXPIRY_RETRY),
    )


def _retry_after(age_ms: int) -> float:
    """Estimate a retry delay: a run that has taken this long may take as long again."""
    return min(max(age_ms / 1000, _MIN_RETRY_AFTER), _MAX_RETRY_AFTER)
