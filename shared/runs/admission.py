"""Admission: whether a run is let in, decided and done in one step.

One script checks the limits, makes the run the chat's newest, queues its job and wakes a worker.
What is refused leaves no trace. Called again after a lost reply it changes nothing: a run that has
its hash has been let in. `shared/runs/split_admission.py`
is for runs on other servers than the queue.

What is looked at first, refuses: a key that was used (the same run again), the chat's live run, the
owner's rate, the owner's live runs, the queue. Only a run that is let in spends of the rate.
"""

from dataclasses import dataclass
from hashlib import sha256

from shared.errors import IdempotencyMismatch, QueueFull, TooManyRuns
from shared.limits import rate_limit
from shared.queue.job import RunChat, encode_job
from shared.rate_limit_status import RateLimitStatus
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.admission_scripts import AdmissionParameters, Reply, admit
from shared.runs.run import Run
from shared.runs.store import hash_fields
from shared.settings import LimitSettings

#: How long a run waits at most for the one that it supersedes to end.
SUPERSEDE_SECONDS = 6.0

#: Wake-up tokens that a queue holds at most: beyond it workers are busy, and need no waking.
_WAKE_CAP = 1000
#: Where too much goes on: seconds after which a client may ask again, at least and at most.
_SOONEST, _LATEST = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The key of a request that may come again, and what it asked for."""

    key: str
    fingerprint: str

    @classmethod
    def of(cls, key: str, request: bytes) -> "Idempotency":
        return cls(key, sha256(request).hexdigest())


@dataclass(frozen=True, slots=True)
class Admitted:
    """The run that answers: another than asked for, where the key had been used before.

    It waits for `superseded` to end, until it is told that it need not (`JobQueue.release`).
    """

    run_id: str
    superseded: str | None
    allowance: RateLimitStatus | None


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Another run of the chat has come, after the one that was to be continued."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Occupied:
    """The chat has a live run, which was not to be superseded."""

    run_id: str


class Admission:
    def __init__(self, redis: Redis, *, live_ttl: float) -> None:
        self._redis = redis
        self._ttl_ms = int(live_ttl * 1000)

    async def admit(
        self,
        run: Run,
        job: RunChat,
        limits: LimitSettings,
        *,
        supersede: bool = False,
        idempotency: Idempotency | None = None,
    ) -> Admitted | Occupied | Overtaken:
        """Let a run in. The logs of the runs that it continues are kept as long as its own.

        Raises:
            RateLimited: if its owner has started too many runs.
            TooManyRuns: if its owner has too many live ones.
            QueueFull: if too many runs of all owners wait.
            IdempotencyMismatch: if the key was used for another request.
        """
        queue = keys.queue(run.queue)
        parameters = AdmissionParameters(
            chat=keys.chat(run.owner, run.chat_id),
            admission_mark=self._mark(run.id),
            job=keys.job(run.id),
            queue=queue,
            wakeup=keys.wakeup(queue),
            rate=keys.rate(run.owner),
            live_runs=keys.live_runs(run.owner),
            idempotency=keys.idempotency(run.owner, idempotency.key) if idempotency else None,
            run_id=run.id,
            payload=encode_job(job),
            ttl_ms=self._ttl_ms,
            max_wakeup_tokens=_WAKE_CAP,
            supersede_ms=int(SUPERSEDE_SECONDS * 1000) if supersede else 0,
            fingerprint=idempotency.fingerprint if idempotency else "",
            continued_runs=" ".join(run.continues),
            requests_per_minute=limits.requests_per_minute,
            burst=limits.burst,
            max_live_runs=limits.live_runs,
            max_queue_depth=limits.queue_depth,
        )
        return _outcome(await self._decide(run, parameters), limits)

    async def _decide(self, run: Run, parameters: AdmissionParameters) -> Reply:
        return await admit(
            self._redis,
            **parameters,
            run_format=keys.run("%s"),
            stream_format=keys.stream("%s"),
            run_fields=hash_fields(run),
        )

    def _mark(self, run_id: str) -> str:
        """What says that the run has been let in."""
        return keys.run(run_id)

    async def known(self, owner: str, idempotency: Idempotency) -> str | None:
        """The run that a request with this key has led to.

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


def _outcome(reply: Reply, limits: LimitSettings) -> Admitted | Occupied | Overtaken:
    verdict, run_id, superseded, number = reply
    match verdict:
        case b"admitted":
            other = text_of(superseded) or None
            return Admitted(text_of(run_id), other, rate_limit.left("runs", int(number), limits))
        case b"occupied":
            return Occupied(text_of(run_id))
        case b"overtaken":
            return Overtaken(text_of(run_id))
        case b"rate":
            raise rate_limit.exceeded("runs", int(number), limits)
        case b"runs":
            raise _too_many_runs(int(number), limits)
        case b"queue":
            raise QueueFull(retry_after=_patience(int(number)))
        case _:
            raise IdempotencyMismatch


def text_of(reply: bytes | int) -> str:
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def _too_many_runs(oldest_ms: int, limits: LimitSettings) -> TooManyRuns:
    most = limits.live_runs
    return TooManyRuns(
        f"At most {most:,} of your answers may be made at once. Wait for one to end, or stop one.",
        retry_after=_patience(oldest_ms),
        rate_limit=RateLimitStatus("live-runs", most, 0),
    )


def _patience(age_ms: int) -> float:
    """Nobody knows when an answer ends: what took so long may take as long again."""
    return min(max(age_ms / 1000, _SOONEST), _LATEST)
