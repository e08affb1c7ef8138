"""Ending runs: the terminal events, the final state, and the record that a run ended."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from shared.errors import StreamClosed
from shared.queue.job_queue import JobQueue
from shared.runs.ended_runs import EndedRunParameters, EndedRuns
from shared.runs.failure_meanings import MEANINGS
from shared.runs.run import Run
from shared.streams.answer_metadata import AnswerEnd, end_events, start_event
from shared.streams.event_stream import Append, Closure, EventStream, StoredRun
from shared.streams.events import DONE, Abort, Data, Error, Finish, FinishReason, Start, StreamEvent
from shared.streams.run_state import RunState
from shared.streams.transcript import read_transcript
from shared.telemetry.logs import bind
from shared.telemetry.metrics import RUN_ERRORS, count_run

log = structlog.stdlib.get_logger()

#: Codes of failures that end a run outside an attempt. Such a run may have produced no output.
NEVER_STARTED_CODES = frozenset({"lost", "dropped", "unknown_agent", "unreadable_job"})

# `increase()` in an alert misses the first failure unless its series already exists with 0.
for _code in MEANINGS:
    RUN_ERRORS.labels(_code)

#: The user-visible text of the failure `lost`.
LOST_TEXT = (
    "A part of the answer was lost. Load the chat again."
    " If the answer is incomplete, send the message again."
)


@dataclass(frozen=True, slots=True)
class RunEnding:
    """The last events of a run and the state that it ends in."""

    events: Sequence[StreamEvent]
    closure: Closure

    @classmethod
    def succeeded(cls, reason: FinishReason) -> "RunEnding":
        return cls([Finish(finish_reason=reason)], Closure(RunState.SUCCEEDED))

    @classmethod
    def cancelled(cls) -> "RunEnding":
        return cls([Abort()], Closure(RunState.CANCELLED))

    @classmethod
    def failed(cls, code: str, text: str, *, request_id: str, retryable: bool) -> "RunEnding":
        """End with `data-error` for programs to evaluate, then `error` with a text to read.

        `retryable` reports whether sending the request again may help.
        """
        detail = {"code": code, "requestId": request_id, "retryable": retryable}
        events = [Data(type="data-error", data=detail, transient=True), Error(error_text=text)]
        return cls(events, Closure(RunState.FAILED, code))

    @classmethod
    def lost(cls, request_id: str) -> "RunEnding":
        """End a run whose job is gone, or a response whose client received events that are gone."""
        return cls.failed("lost", LOST_TEXT, request_id=request_id, retryable=True)


class RunFinalizer:
    """Ends runs and records their end in the log, the metrics and the lists of ended runs.

    With a `queue`, it also removes the job. Without one, the worker that holds the job removes it.
    """

    def __init__(
        self, stream: EventStream, ended_runs: EndedRuns, queue: JobQueue | None = None
    ) -> None:
        self._stream = stream
        self._ended_runs = ended_runs
        self._queue = queue

    async def end(self, run: Run, ending: RunEnding) -> bool:
        """End a run outside an attempt and fence off a worker that still has it.

        Returns False if the run had already ended or another attempt took it over meanwhile.
        """
        stored = await self._append(run, ending)
        if stored is None:
            return False
        with bind(request_id=run.request_id):
            self.report(run.id, run.agent, run.model, ending.closure)
        failed = ending.closure.state is RunState.FAILED
        await self._ended_runs.add(run.id, failed=failed, stored=stored)
        if self._queue is not None:
            await self._queue.remove(run.id, queue=run.queue)
        return True

    async def _append(self, run: Run, ending: RunEnding) -> StoredRun | None:
        try:
            takeover = await self._stream.take_over(run.id)
        except StreamClosed:
            return None
        transcript = await read_transcript(self._stream, run.id)
        start = [] if takeover.offset else [_start_event(run)]
        events = [*start, *transcript.closing_events()]
        first = takeover.offset + 1 + len(events)
        last = end_events(ending.events, AnswerEnd(run.model), first=first)
        entries = [*(event.encode() for event in (*events, *last)), DONE]
        append = Append(run.id, takeover.attempt, takeover.offset + 1, entries, ending.closure)
        [verdict] = await self._stream.append(append)
        return verdict if isinstance(verdict, StoredRun) else None

    def report(
        self, run_id: str, agent: str, model: str, closure: Closure, **fields: object
    ) -> None:
        """Report the end of a run in the log and the metrics. `fields` are added to the event."""
        log.info(
            "run.ended",
            message="Run ended",
            run_id=run_id,
            agent=agent,
            model=model,
            state=closure.state,
            error=closure.error,
            **fields,
        )
        count_run(agent, model, closure.state.value, closure.error)

    def ended_run(
        self, run_id: str, closure: Closure, stored: StoredRun | None
    ) -> EndedRunParameters:
        """Return how the script that removes the job records the end of its run."""
        failed = closure.state is RunState.FAILED
        return self._ended_runs.parameters(run_id, failed=failed, stored=stored)


def _start_event(run: Run) -> Start:
    return start_event(
        run.message_id,
        run_id=run.id,
        model=run.model,
        created_at=run.admitted_at,
        continues=bool(run.continues),
    )
