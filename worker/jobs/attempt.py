"""One attempt of a run: its transcript, its writer, and the methods that end it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic_ai.usage import RunUsage

from shared.queue.job import RunChat
from shared.runs.chat_index import ChatIndex
from shared.runs.finalize import RunEnding, RunFinalizer
from shared.runs.store import RunStore
from shared.streams.answer_digest import AnswerDigest
from shared.streams.answer_metadata import AnswerEnd, end_events, start_event
from shared.streams.event_stream import Closure, Entry, EventStream, StoredRun, Takeover
from shared.streams.events import FinishReason, Start, StreamEvent
from shared.streams.transcript import Transcript, read_transcript
from worker.agents.budget import Budgets
from worker.agents.engine import AgentEngine
from worker.agents.usage import UsageMeter
from worker.jobs.running_runs import Interrupt, RunningRun
from worker.models.run_failures import Failure
from worker.output.writer import GroupCommitter, RunWriter
from worker.telemetry.attempt_trace import AttemptTrace
from worker.telemetry.metrics import ATTEMPTS, count_duration, count_first_token

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RunServices:
    """The services that store, write, and end runs."""

    runs: RunStore
    chats: ChatIndex
    stream: EventStream
    committer: GroupCommitter
    finalizer: RunFinalizer
    #: Id of this worker.
    worker_id: str = ""
    budgets: Budgets | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """A job, the agent that runs it, and the task and trace of the attempt."""

    job: RunChat
    agent: AgentEngine
    running_run: RunningRun
    trace: AttemptTrace


@dataclass(frozen=True, slots=True)
class TakenOverRun:
    """The state of a run at the start of an attempt."""

    takeover: Takeover
    #: The output of its earlier attempts, after that of the runs that it continues.
    transcript: Transcript
    #: The size of the events of its earlier attempts.
    stored_bytes: int
    #: Covers the events of its earlier attempts.
    digest: AnswerDigest

    @classmethod
    async def read(cls, stream: EventStream, takeover: Takeover, job: RunChat) -> "TakenOverRun":
        size, digest = 0, AnswerDigest()

        def observe(entries: Iterable[Entry]) -> None:
            nonlocal size
            for entry in entries:
                size += len(entry.data)
                digest.add([entry.data])

        run_id = job.run_id if takeover.offset else None
        transcript = await _read_transcript(stream, run_id, job, observe)
        return cls(takeover, transcript, size, digest)


class Attempt:
    """An attempt that has taken over its run. `finish`, `fail`, `abort` and `hand_over` end it."""

    def __init__(
        self, services: RunServices, execution: Execution, found: TakenOverRun, max_bytes: int
    ) -> None:
        """`max_bytes` limits the run's stream."""
        running_run, takeover = execution.running_run, found.takeover
        self.job = execution.job
        self.agent = execution.agent
        self.running_run = running_run
        self.trace = execution.trace
        self.takeover = takeover
        self._stream = services.stream
        self._finalizer = services.finalizer
        self._began = time.monotonic()
        self._worker_id = services.worker_id
        #: Milliseconds from admission to the first content, if this attempt wrote it.
        self._first_token_ms: int | None = None
        self.transcript = found.transcript
        self.writer = RunWriter(
            services.committer,
            self.job.run_id,
            attempt=takeover.attempt,
            offset=takeover.offset,
            stored_bytes=found.stored_bytes,
            max_bytes=max_bytes,
            digest=found.digest,
            on_refused=lambda: running_run.cancel(Interrupt.TAKEN_OVER),
            on_stop=lambda: running_run.cancel(Interrupt.STOP),
            on_content=None if self.transcript.has_output else self._count_first_token,
        )
        self.meter = UsageMeter(
            services.runs,
            self.job.run_id,
            takeover.attempt,
            self.job.model,
            self.writer.record_usage,
            continues=self.job.continues,
            budget=services.budgets and services.budgets.of_run(self.job, takeover.attempt),
        )

    @property
    def continues_after_output(self) -> bool:
        """Whether a retry continues the output that earlier attempts have written."""
        return self.agent.definition.retries.after_output == "continue"

    async def read_transcript(self) -> Transcript:
        """Return the run's output so far, as stored."""
        return await _read_transcript(self._stream, self.job.run_id, self.job)

    def write_beginning(self) -> None:
        """Write `start` and the client's tool responses.

        Approvals are not written: the calls they approve are made in this run.
        """
        if not self.takeover.offset:
            self.writer.write(self._start_event())
        for call in self.transcript.pending:
            if call.response and (event := call.response.to_event(call.id)):
                self.writer.write(event)
                self.transcript.add(event)

    async def finish(self, reason: FinishReason) -> None:
        ending = RunEnding.succeeded(reason)
        await self._close(self._write_end((), ending), ending.closure)

    async def abort(self) -> None:
        await self._break_off(RunEnding.cancelled())

    async def fail(self, failure: Failure) -> None:
        await self._break_off(failure.ending(self.job.request_id))

    async def hand_over(self) -> None:
        """Write what is buffered, for the next attempt to continue."""
        self.running_run.closing = True
        await self.meter.end()
        await self.writer.drain()

    async def _break_off(self, ending: RunEnding) -> None:
        await self._close(self._close_open_parts(ending), ending.closure)

    async def _close_open_parts(self, ending: RunEnding) -> StoredRun | None:
        await self.writer.drain(ending=True)
        transcript = await self.read_transcript()
        return await self._write_end(transcript.closing_events(), ending)

    async def _write_end(
        self, events: Sequence[StreamEvent], ending: RunEnding
    ) -> StoredRun | None:
        """Write these events, then those of the ending with the metadata of the answer."""
        usage, model = await self.meter.close()

        def describe(first: int, digest: str | None) -> Sequence[StreamEvent]:
            return end_events(ending.events, _answer_end(model, usage, digest), first=first)

        return await self.writer.close(events, ending.closure, describe)

    def _start_event(self) -> Start:
        job = self.job
        return start_event(
            job.message_id,
            run_id=job.run_id,
            model=job.model,
            created_at=self.takeover.admitted_at,
            continues=bool(job.continues),
        )

    async def _close(self, closing: Awaitable[StoredRun | None], closure: Closure) -> None:
        self.running_run.closing = True
        stored = await _uninterrupted(closing)
        job, seconds = self.job, self._elapsed
        self.trace.close(closure)
        ATTEMPTS.labels("ended").inc()
        count_duration(job.agent, job.model, seconds)
        self.running_run.ended = self._finalizer.ended_run(job.run_id, closure, stored)
        self._finalizer.report(
            job.run_id,
            job.agent,
            job.model,
            closure,
            attempt=self.takeover.attempt,
            worker_id=self._worker_id,
            wait_ms=round(self.takeover.waited * 1000),
            first_token_ms=self._first_token_ms,
            duration_ms=round(seconds * 1000),
            input_tokens=self.meter.used.input_tokens,
            output_tokens=self.meter.used.output_tokens,
        )

    @property
    def _elapsed(self) -> float:
        """Seconds since the run first started."""
        return self.takeover.elapsed + time.monotonic() - self._began

    def _count_first_token(self) -> None:
        waited = self.takeover.waited + self._elapsed
        self._first_token_ms = round(waited * 1000)
        count_first_token(self.job.agent, self.job.model, waited)


async def _read_transcript(
    stream: EventStream,
    run_id: str | None,
    job: RunChat,
    observe: Callable[[Iterable[Entry]], None] = lambda _: None,
) -> Transcript:
    return await read_transcript(
        stream, run_id, continues=job.continues, responses=job.tool_responses, observe=observe
    )


def _answer_end(model: str, usage: RunUsage, digest: str | None) -> AnswerEnd:
    is_known = bool(usage.input_tokens or usage.output_tokens)
    return AnswerEnd(
        model,
        input_tokens=usage.input_tokens if is_known else None,
        output_tokens=usage.output_tokens if is_known else None,
        cost=None if usage.cost is None else float(usage.cost),
        digest=digest,
    )


async def _uninterrupted(work: Awaitable[_T]) -> _T:
    """Finish the work even if the task is cancelled meanwhile, then raise the cancellation."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
