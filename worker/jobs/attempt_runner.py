"""Runs one attempt of a run: take it over, run the agent, and end, retry or hand over."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import structlog

from shared.backoff import Backoff
from shared.errors import Fenced, StreamError
from shared.queue.job import RunChat
from shared.redis.client import REDIS_UNAVAILABLE, RedisError
from shared.settings import RunSettings
from shared.streams.event_stream import Takeover
from shared.telemetry.metrics import AGENT_LABELS, expect_run
from shared.waiting import raise_if_cancelled
from worker.agents.engine import AgentEngine
from worker.jobs.attempt import Attempt, Execution, RunServices, TakenOverRun
from worker.jobs.earlier_answers import EarlierAnswers
from worker.jobs.retry_policy import RetryPolicy
from worker.jobs.running_runs import Interrupt, RunningRun
from worker.models.run_failures import CRASHED, INTERRUPTED, TIMED_OUT, Failure, failure_of
from worker.telemetry.metrics import ATTEMPTS, ATTEMPTS_STARTED, RUN_WAIT
from worker.telemetry.tracing import trace_attempt

log = structlog.stdlib.get_logger()

#: Time limit of a handover, so that a worker can exit without Redis. The attempt then counts as a
#: crash.
_HAND_OVER_SECONDS = 3.0


class AttemptRunner:
    """Runs single attempts."""

    def __init__(
        self, services: RunServices, settings: Callable[[], RunSettings], retries: RetryPolicy
    ) -> None:
        self._services = services
        self._settings = settings
        self._retries = retries

    async def run(self, job: RunChat, agent: AgentEngine, running_run: RunningRun) -> bool:
        """Run an attempt. Return False if another one should follow in this worker."""
        async with trace_attempt(job, self._services.runs) as trace:
            beginning = asyncio.ensure_future(
                self._begin(Execution(job, agent, running_run, trace))
            )
            try:
                return await self._execute(await asyncio.shield(beginning))
            except asyncio.CancelledError:
                # Taking over assigns the attempt number, so the end of the attempt must be counted.
                await self._interrupted(await beginning)
                return True
            except Fenced:
                # A slow worker that is still alive must not count as a crash of the run.
                running_run.closing = True
                await self._end_taken_over(await beginning)
                raise
            except StreamError:
                raise
            except Exception:
                await self._record_broken(job.run_id, beginning)
                raise

    async def _begin(self, execution: Execution) -> Attempt:
        job, stream = execution.job, self._services.stream
        takeover = await stream.take_over(job.run_id, worker=self._services.worker_id)
        await execution.trace.begin(takeover)
        for superseded in takeover.supersedes.split():  # their stops may not be stored yet
            await self._services.runs.request_stop(superseded)
        if job.completes_history:
            earlier = EarlierAnswers(self._services.runs, self._services.chats, stream)
            history = await earlier.complete(job)
            job = job.model_copy(update={"messages": history.messages})
            execution = replace(execution, job=job)
            waited = max(0.0, takeover.waited - history.seconds_behind_chat)
            takeover = takeover._replace(waited=waited)
        found = await TakenOverRun.read(stream, takeover, job)
        _count_beginning(job, takeover)
        if takeover.crashed:
            _report_crash(takeover)
        log.info(
            "run.attempt",
            message="Attempt started",
            attempt=takeover.attempt,
            offset=takeover.offset,
            agent=job.agent,
        )
        attempt = Attempt(self._services, execution, found, self._settings().answer_bytes)
        attempt.write_beginning()
        return attempt

    async def _execute(self, attempt: Attempt) -> bool:
        takeover = attempt.takeover
        if takeover.stop_requested:
            await attempt.abort()
        elif takeover.crashes > self._settings().max_crashes:
            await attempt.fail(CRASHED)
        elif attempt.transcript.has_output and not attempt.continues_after_output:
            await attempt.fail(INTERRUPTED)
        else:
            return await self._run_agent(attempt)
        return True

    async def _run_agent(self, attempt: Attempt) -> bool:
        job = attempt.job
        seconds = self._settings().timeout_seconds
        seconds = min(seconds, attempt.agent.definition.limits.seconds or seconds)
        limit = asyncio.timeout(seconds - attempt.takeover.elapsed)
        try:
            async with limit:
                reason = await attempt.agent.run(
                    job,
                    attempt.transcript,
                    attempt.writer,
                    attempt.meter,
                    on_prepared=attempt.running_run.prepared.set,
                )
        except StreamError:
            raise
        except Exception as error:  # noqa: BLE001  (every accepted run reaches a terminal event)
            raise_if_cancelled()
            if not limit.expired():
                return await self._retry_or_fail(attempt, error, _seconds_left(limit))
            await attempt.fail(TIMED_OUT)
        else:
            await attempt.finish(reason)
        return True

    async def _retry_or_fail(self, attempt: Attempt, error: Exception, seconds_left: float) -> bool:
        failure, takeover = failure_of(error), attempt.takeover
        log.warning(
            "run.failed_attempt",
            message="Attempt failed",
            code=failure.code,
            error=type(error).__name__,
            **failure.upstream_fields,
        )
        await self._store_upstream(attempt, failure)
        retries = self._retries.limit(attempt.agent.definition, attempt.job.model)
        pause = self._retries.pause(failure, takeover.failures, retries, seconds_left)
        if pause is None:
            await attempt.fail(failure)
            return True
        await attempt.meter.end()
        await attempt.writer.drain()
        if not attempt.continues_after_output and (await attempt.read_transcript()).has_output:
            await attempt.fail(failure)
            return True
        attempt.trace.fail(failure.code)
        await asyncio.sleep(pause)
        # Counted after the pause: an attempt that is handed over during it must not count twice.
        await self._services.runs.count_failure(attempt.job.run_id, takeover.attempt, failure.code)
        ATTEMPTS.labels("failed").inc()
        return False

    async def _record_broken(self, run_id: str, beginning: "asyncio.Future[Attempt]") -> None:
        """Record the end of an attempt that began. Best effort: it counts as a crash anyway."""
        if beginning.done() and not beginning.cancelled() and beginning.exception() is None:
            with suppress(*REDIS_UNAVAILABLE, RedisError):
                number = beginning.result().takeover.attempt
                await self._services.runs.record_broken(run_id, number)

    async def _store_upstream(self, attempt: Attempt, failure: Failure) -> None:
        """Store what the model's server sent, for operators. Best effort."""
        if failure.upstream is not None:
            with suppress(*REDIS_UNAVAILABLE, RedisError):
                await self._services.runs.record_upstream(
                    attempt.job.run_id, attempt.takeover.attempt, str(failure.upstream)
                )

    async def _interrupted(self, attempt: Attempt) -> None:
        """Handle a cancellation: a stop request, the loss of the run, or the worker's shutdown."""
        run_id, number = attempt.job.run_id, attempt.takeover.attempt
        match attempt.running_run.interrupt:
            case Interrupt.STOP:
                await attempt.abort()
            case Interrupt.TAKEN_OVER:
                refusal = attempt.writer.refusal or Fenced()
                if isinstance(refusal, Fenced):
                    await self._end_taken_over(attempt)
                raise refusal
            case None:
                async with asyncio.timeout(_HAND_OVER_SECONDS):
                    await attempt.hand_over()
                    await self._services.runs.count_handover(run_id, number)
                log.info("run.handed_over", message="Run handed over to another worker")
                ATTEMPTS.labels("handed_over").inc()
                raise asyncio.CancelledError

    async def _end_taken_over(self, attempt: Attempt) -> None:
        """Count that another process has taken over the run, and free its reservation.

        If that process has ended the run, no later attempt frees the reservation. A later attempt
        that has made its own reservation keeps it.
        """
        await self._count_takeover(attempt.job.run_id, attempt.takeover.attempt)
        with suppress(Fenced):
            await attempt.meter.end()

    async def _count_takeover(self, run_id: str, number: int) -> None:
        """Retry until Redis replies: it may be unreachable, which also makes leases expire."""
        backoff = Backoff(0.1, 1.0)
        while True:
            try:
                await self._services.runs.count_handover(run_id, number)
            except REDIS_UNAVAILABLE:
                await asyncio.sleep(backoff.failed())
            else:
                return


def _count_beginning(job: RunChat, takeover: Takeover) -> None:
    AGENT_LABELS.add(job.agent)
    expect_run(job.agent, job.model)
    ATTEMPTS_STARTED.inc()
    if takeover.attempt == 1 and not job.background:
        RUN_WAIT.labels(takeover.queue).observe(takeover.waited)


def _report_crash(takeover: Takeover) -> None:
    """Report that the previous attempt's worker was killed or hung, so that its lease expired."""
    ATTEMPTS.labels("crashed").inc()
    log.warning(
        "run.attempt_crashed",
        message="The previous attempt crashed; this one continues the run",
        attempt=takeover.attempt - 1,
        worker_id=takeover.previous_worker,
    )


def _seconds_left(limit: asyncio.Timeout) -> float:
    when = limit.when()
    assert when is not None  # noqa: S101  (each run has a limit)
    return when - asyncio.get_running_loop().time()
