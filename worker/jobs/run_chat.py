"""The job `run_chat`: make one run's answer, whatever happens on the way.

Each attempt takes the run over, goes on from what the log already shows, and ends in one of:
closed (finish, error or abort: exactly one, and `[DONE]`), tried again after a pause, handed over
(this worker is going away), or lost (another worker has it: this one is silent).
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

import structlog
from arq.worker import RetryJob
from pydantic import ValidationError

from shared.errors import Fenced, StreamClosed, StreamError
from shared.queue.job import RunChat
from shared.runs.failed_runs import FailedRuns
from shared.runs.finalize import close_run, failure_ending
from shared.runs.run import RunState
from shared.runs.store import RunStore
from shared.settings import RunSettings
from shared.streams.event_stream import Closure, Entry, EventStream, Takeover, read_all, read_each
from shared.streams.events import Abort, Finish, FinishReason, Start, StreamEvent
from shared.streams.transcript import Transcript
from shared.telemetry.logs import bind, where
from shared.telemetry.metrics import AGENT_LABELS, count_closed, count_run
from worker.agents.engine import AgentEngine
from worker.jobs.failures import (
    CRASHED,
    DROPPED,
    INTERRUPTED,
    TIMED_OUT,
    UNKNOWN_AGENT,
    UNREADABLE,
    Failure,
    failure_of,
)
from worker.jobs.retry_policy import pause_after
from worker.jobs.running_runs import Interrupt, RunningRun, RunningRuns
from worker.jobs.usage import UsageMeter
from worker.output.writer import GroupCommit, RunWriter
from worker.telemetry.attempt_trace import AttemptTrace
from worker.telemetry.metrics import (
    ATTEMPTS,
    ATTEMPTS_STARTED,
    RUN_WAIT,
    count_duration,
    count_first_token,
)
from worker.telemetry.tracing import trace_attempt

log = structlog.stdlib.get_logger()

_T = TypeVar("_T")

#: The pause after an attempt that broke by a mistake of ours, or for want of Redis.
_BROKEN_SECONDS = 0.5
#: How long a worker keeps a run whose agent it does not know, before it puts it back for others.
_UNKNOWN_SECONDS = 0.3


class AgentLookup(Protocol):
    def get(self, name: str, /) -> AgentEngine | None: ...


class ChatRunner:
    """What the job needs, put together once a process."""

    def __init__(
        self,
        *,
        stream: EventStream,
        commit: GroupCommit,
        runs: RunStore,
        failed_runs: FailedRuns,
        running: RunningRuns,
        agents: AgentLookup,
        settings: Callable[[], RunSettings],
        max_retries: Callable[[str], int],
    ) -> None:
        self._stream = stream
        self._commit = commit
        self._runs = runs
        self._failed_runs = failed_runs
        self._running = running
        self._agents = agents
        self._settings = settings
        #: By the name of the model.
        self._max_retries = max_retries
        self._dice = random.SystemRandom()

    async def __call__(self, ctx: dict[str, Any], args: object = None, *_: Any, **__: Any) -> None:
        job = _read(args)
        run_id = job.run_id if job else ctx["job_id"]
        with bind(run_id=run_id), self._running.enter(run_id) as progress:
            try:
                if job is None:
                    await self.drop(run_id, UNREADABLE)
                else:
                    await self._answer(job, progress)
            except StreamClosed:
                log.info("run.already_ended")
            except StreamError as error:
                # Whoever has the lease goes on: another worker, or this one in its next attempt.
                log.warning("run.lost", reason=type(error).__name__)
                ATTEMPTS.labels("lost").inc()
                raise RetryJob from error
            except Exception as error:
                # The job stays on the queue, and its next attempt counts this one as a crash.
                ATTEMPTS.labels("broken").inc()
                log.error("run.broken", error=type(error).__name__, where=where(error))  # noqa: TRY400  (messages may hold prompts)
                await asyncio.sleep(_BROKEN_SECONDS)
                raise RetryJob from error

    async def drop(self, run_id: str, failure: Failure = DROPPED) -> None:
        """End a run whose job cannot be run."""
        await self._end(run_id, failure)

    async def _end(self, run_id: str, failure: Failure | None) -> None:
        """End a run that is in no attempt; without a failure it was stopped."""
        run = await self._runs.get(run_id)
        if run is None:
            return
        ending: list[StreamEvent] = [Abort()]
        if failure:
            ending = _ending(failure, run.request_id)
        closure = Closure(RunState.FAILED, failure.code) if failure else Closure(RunState.CANCELLED)
        if await close_run(self._stream, run, ending, closure):
            log.info("run.ended", run_id=run_id, state=closure.state, error=closure.error)
            count_closed(run, closure.state, closure.error)
            if failure:
                await self._failed_runs.add(run_id)

    async def _answer(self, job: RunChat, progress: RunningRun) -> None:
        with bind(request_id=job.request_id):
            agent = self._agents.get(job.agent)
            if agent is None:
                await self._hand_back(job, progress)
                return
            while not await self._attempt(job, agent, progress):
                pass

    async def _hand_back(self, job: RunChat, progress: RunningRun) -> None:
        """Leave a run to a worker that knows its agent: an older or a newer one, in a roll-out."""
        waited = await self._runs.hand_back(job.run_id)
        if waited is None:
            raise StreamClosed
        log.warning("run.unknown_agent", agent=job.agent, waited=waited)
        if waited >= self._settings().agent_wait_seconds:
            await self.drop(job.run_id, UNKNOWN_AGENT)
            return
        try:
            await asyncio.sleep(random.uniform(0.5, 1) * _UNKNOWN_SECONDS)  # noqa: S311
        except asyncio.CancelledError:
            if progress.interrupt is not Interrupt.STOP:
                raise
            await self._end(job.run_id, None)
            return
        raise RetryJob

    async def _attempt(self, job: RunChat, agent: AgentEngine, progress: RunningRun) -> bool:
        """Whether the run needs no further attempt here."""
        async with trace_attempt(job, self._runs) as traced:
            beginning = asyncio.ensure_future(self._begin(job, agent, progress, traced))
            try:
                return await self._make_answer(job, await asyncio.shield(beginning))
            except asyncio.CancelledError:
                # Even one that had only just begun has its number: its end has to be counted.
                await self._interrupted(job.run_id, await beginning)
                return True

    async def _begin(
        self, job: RunChat, agent: AgentEngine, progress: RunningRun, traced: AttemptTrace
    ) -> "_Attempt":
        run_id = job.run_id
        takeover = await self._stream.take_over(run_id)
        await traced.begin(takeover)
        if takeover.supersedes:  # whoever let this run in may have died before it told the other
            await self._runs.request_cancel(takeover.supersedes)
        entries = await read_all(self._stream, run_id) if takeover.offset else []
        _count_beginning(job, takeover)
        log.info("run.attempt", attempt=takeover.attempt, offset=takeover.offset, agent=job.agent)
        earlier = await read_each(self._stream, job.continues)
        attempt = _Attempt(
            self._stream,
            self._commit,
            job,
            agent=agent,
            takeover=takeover,
            earlier=earlier,
            entries=entries,
            progress=progress,
            failed_runs=self._failed_runs,
            traced=traced,
        )
        if not takeover.offset:
            attempt.writer.write(Start(message_id=job.message_id))
        attempt.tell_answers()
        return attempt

    async def _make_answer(self, job: RunChat, attempt: "_Attempt") -> bool:
        takeover = attempt.takeover
        if takeover.cancelled:
            await attempt.abort()
        elif takeover.crashes > self._settings().max_crashes:
            await attempt.fail(CRASHED)
        elif attempt.transcript.shown and not attempt.continues:
            await attempt.fail(INTERRUPTED)
        else:
            return await self._ask_agent(job, attempt)
        return True

    async def _ask_agent(self, job: RunChat, attempt: "_Attempt") -> bool:
        seconds = self._settings().timeout_seconds
        seconds = min(seconds, attempt.agent.definition.limits.seconds or seconds)
        limit = asyncio.timeout(seconds - attempt.takeover.elapsed)
        try:
            async with limit:
                meter = UsageMeter(
                    self._runs,
                    job.run_id,
                    attempt.takeover.attempt,
                    job.model,
                    earlier=job.continues,
                )
                reason = await attempt.agent.run(job, attempt.transcript, attempt.writer, meter)
        except StreamError:
            raise
        except Exception as error:  # noqa: BLE001  (every accepted run reaches an end)
            if not limit.expired():
                return await self._failed(job, attempt, error, _left(limit))
            await attempt.fail(TIMED_OUT)
        else:
            await attempt.finish(reason)
        return True

    async def _failed(
        self, job: RunChat, attempt: "_Attempt", error: Exception, left: float
    ) -> bool:
        """Pause before the next attempt, or end the run with the error."""
        failure = failure_of(error)
        failures = attempt.takeover.failures
        log.warning("run.failed_attempt", code=failure.code, error=type(error).__name__)
        pause = pause_after(failures, failure.retry_after, self._dice)
        if not failure.retried or failures >= self._retries(job, attempt) or pause >= left:
            await attempt.fail(failure)
            return True
        await attempt.writer.drain()
        if not attempt.continues and (await attempt.shown()).shown:
            await attempt.fail(failure)
            return True
        attempt.traced.fail(failure.code)
        await asyncio.sleep(pause)
        # Not before: an attempt that is handed over in its pause must not count twice.
        await self._runs.count_failure(job.run_id, attempt.takeover.attempt)
        ATTEMPTS.labels("failed").inc()
        return False

    def _retries(self, job: RunChat, attempt: "_Attempt") -> int:
        """How many failures the run survives."""
        definition = attempt.agent.definition
        own = definition.retries.max_retries
        return self._max_retries(definition.model or job.model) if own is None else own

    async def _interrupted(self, run_id: str, attempt: "_Attempt") -> None:
        """The task was cancelled: by a stop, by the loss of the run, or by the worker's end."""
        match attempt.progress.interrupt:
            case Interrupt.STOP:
                await attempt.abort()
            case Interrupt.LOST:
                # This worker stands: that it was slow must not count as a crash of the run.
                if attempt.writer.only_fenced:
                    await self._runs.count_handover(run_id, attempt.takeover.attempt)
                raise Fenced
            case None:
                await attempt.hand_over()
                await self._runs.count_handover(run_id, attempt.takeover.attempt)
                log.info("run.handed_over")
                ATTEMPTS.labels("handed_over").inc()
                raise asyncio.CancelledError


class _Attempt:
    """One attempt's hold on a run: its writer, and the ways to end."""

    def __init__(
        self,
        stream: EventStream,
        commit: GroupCommit,
        job: RunChat,
        *,
        agent: AgentEngine,
        takeover: Takeover,
        earlier: Sequence[Entry],
        entries: Sequence[Entry],
        progress: RunningRun,
        failed_runs: FailedRuns,
        traced: AttemptTrace,
    ) -> None:
        self.agent = agent
        self.takeover = takeover
        self.progress = progress
        self.traced = traced
        self.writer = RunWriter(
            commit,
            job.run_id,
            attempt=takeover.attempt,
            offset=takeover.offset,
            on_refused=lambda: progress.cancel(Interrupt.LOST),
            on_cancel=lambda: progress.cancel(Interrupt.STOP),
            on_content=None if Transcript.of(entries).parts else self._on_content,
        )
        self._stream = stream
        self._failed_runs = failed_runs
        self._job = job
        self._earlier = earlier
        self._began = time.monotonic()
        #: What earlier attempts have shown, and the runs that this one continues.
        self.transcript = self._folded(entries)

    @property
    def continues(self) -> bool:
        """Whether an attempt goes on with what an earlier one has shown."""
        return self.agent.definition.retries.after_output == "continue"

    async def shown(self) -> Transcript:
        """What the log shows by now."""
        return self._folded(await read_all(self._stream, self._job.run_id))

    def _folded(self, entries: Sequence[Entry]) -> Transcript:
        transcript = Transcript.continuing(self._earlier, self._job.answers)
        transcript.fold(entries)
        return transcript

    def tell_answers(self) -> None:
        """Write what the client has answered, but for approvals: those calls are made now."""
        for call in self.transcript.pending:
            if call.answer and (event := call.answer.event(call.id)):
                self.writer.write(event)
                self.transcript.add(event)

    async def finish(self, reason: FinishReason) -> None:
        closure = Closure(RunState.SUCCEEDED)
        await self._close(self.writer.close([Finish(finish_reason=reason)], closure), closure)

    async def abort(self) -> None:
        closure = Closure(RunState.CANCELLED)
        await self._close(self._break_off([Abort()], closure), closure)

    async def fail(self, failure: Failure) -> None:
        closure = Closure(RunState.FAILED, failure.code)
        await self._close(self._break_off(_ending(failure, self._job.request_id), closure), closure)

    async def hand_over(self) -> None:
        """Write what is held: the next attempt goes on from there."""
        self.progress.closing = True
        await _uninterrupted(self.writer.drain())

    async def _break_off(self, ending: list[StreamEvent], closure: Closure) -> None:
        """End what the log shows as open, then the run."""
        await self.writer.drain()
        shown = await self.shown()
        await self.writer.close([*shown.closing(), *ending], closure)

    async def _close(self, closing: Awaitable[None], closure: Closure) -> None:
        self.progress.closing = True
        await _uninterrupted(closing)
        job, seconds = self._job, self._elapsed
        log.info(
            "run.ended",
            state=closure.state,
            error=closure.error,
            attempt=self.takeover.attempt,
            duration_ms=round(seconds * 1000),
        )
        self.traced.close(closure)
        ATTEMPTS.labels("ended").inc()
        count_run(job.agent, job.model, closure.state, closure.error)
        count_duration(job.agent, job.model, seconds)
        if closure.state is RunState.FAILED:
            await self._failed_runs.add(job.run_id)

    @property
    def _elapsed(self) -> float:
        """Seconds since the run first started."""
        return self.takeover.elapsed + time.monotonic() - self._began

    def _on_content(self) -> None:
        waited = self.takeover.waited + self._elapsed
        count_first_token(self._job.agent, self._job.model, waited)


def _read(args: object) -> RunChat | None:
    try:
        return RunChat.model_validate(args)
    except ValidationError:
        return None


def _count_beginning(job: RunChat, takeover: Takeover) -> None:
    AGENT_LABELS.add(job.agent)
    ATTEMPTS_STARTED.inc()
    if takeover.attempt == 1:
        RUN_WAIT.labels(takeover.queue).observe(takeover.waited)


def _ending(failure: Failure, request_id: str) -> list[StreamEvent]:
    retryable = failure.retryable
    return failure_ending(failure.code, failure.text, request_id=request_id, retryable=retryable)


def _left(limit: asyncio.Timeout) -> float:
    when = limit.when()
    assert when is not None  # noqa: S101  (each run has a limit)
    return when - asyncio.get_running_loop().time()


async def _uninterrupted(work: Awaitable[_T]) -> _T:
    """Finish what was begun, even when the task is cancelled meanwhile; then be cancelled."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
