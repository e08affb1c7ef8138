"""Claimed jobs: their payloads, the functions that run them, and their outcomes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import structlog
from arq.jobs import DeserializationError, deserialize_job_raw
from arq.worker import Retry, RetryJob

from shared.queue.announced_waits import AnnouncedWait
from shared.queue.job import load_job
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.ended_runs import EndedRunParameters
from worker.telemetry.metrics import count_announced_wait

log = structlog.stdlib.get_logger()

#: A function that runs the jobs of one kind. It receives `{"job_id": <id>}` and the job's argument,
#: and returns how to record the end of a run.
JobFunction = Callable[..., Awaitable[EndedRunParameters | None]]


class ClaimedJob(NamedTuple):
    id: str
    #: The key of its queue.
    queue: str
    #: Empty if it has expired, or was too large for the reply of the claim.
    payload: bytes


async def accept_jobs(
    redis: Redis, claimed: Iterable[tuple[bytes, bytes, bytes, bytes]]
) -> list[ClaimedJob]:
    """Decode the reply of a claim, and count the announced waits. Removes unreadable jobs."""
    jobs: list[ClaimedJob] = []
    for queue, job_id, payload, announced in claimed:
        try:
            jobs.append(ClaimedJob(job_id.decode(), queue.decode(), payload))
        except UnicodeDecodeError:
            await _remove_unreadable(redis, queue, job_id)
        else:
            if wait := AnnouncedWait.parse(announced):
                count_announced_wait(keys.queue_name(jobs[-1].queue), wait)
    return jobs


async def _remove_unreadable(redis: Redis, queue: bytes, job_id: bytes) -> None:
    """Remove a job that Mamba has not queued: the IDs of its own jobs are always text."""
    log.error(
        "worker.job_id_unreadable",
        message="Removed a job whose ID is not valid UTF-8",
        queue=queue.decode(errors="replace"),
        job_id=job_id.decode(errors="replace"),
    )
    await redis.execute_command("ZREM", queue, job_id)


def call_job(
    functions: Mapping[str, JobFunction], job_id: str, payload: bytes
) -> Awaitable[EndedRunParameters | None] | None:
    """Call the function of a job's kind. Returns None if the payload is invalid."""
    try:
        kind, args, kwargs, _, _ = deserialize_job_raw(payload, deserializer=load_job)
        function = functions[kind]
    except (DeserializationError, LookupError, TypeError):
        return None
    context: dict[str, Any] = {"job_id": job_id}
    return function(context, *args, **kwargs)


class JobOutcome(NamedTuple):
    """What to do with a job whose function has ended."""

    #: Whether to remove it. Otherwise, it becomes due again.
    finish: bool = True
    #: If it is handed back, when it becomes due.
    delay_ms: int = 0
    #: How to record the end of its run.
    ended: EndedRunParameters | None = None

    @property
    def name(self) -> Literal["done", "due", "handed_back"]:
        return "done" if self.finish else "handed_back" if self.delay_ms else "due"


DONE = JobOutcome()


async def outcome_of(work: Awaitable[EndedRunParameters | None]) -> JobOutcome:
    """Wait for the function of a job, and return its outcome."""
    try:
        return JobOutcome(ended=await work)
    except Retry as retry:
        return JobOutcome(finish=False, delay_ms=retry.defer_score or 0)
    except (asyncio.CancelledError, RetryJob):
        return JobOutcome(finish=False)
