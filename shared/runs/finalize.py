"""Ending a run that nobody works on: by whoever notices, with the one terminal event."""

from shared.errors import StreamClosed
from shared.runs.run import Run
from shared.streams.event_stream import Append, Closure, EventStream, read_all
from shared.streams.events import DONE, Data, Error, Start, StreamEvent
from shared.streams.transcript import Transcript

#: Errors of runs that were closed outside of any attempt: of those that had none before, too.
CLOSED_UNBEGUN = frozenset({"lost", "dropped", "unknown_agent", "unreadable_job"})

#: What the reader of an answer is told whose job is gone; its code is `lost`.
LOST_TEXT = "The answer was lost: its job is no longer in the queue."


def failure_ending(code: str, text: str, *, request_id: str, retryable: bool) -> list[StreamEvent]:
    """How each failed run ends: what apps can switch on and look for, then the text to read.

    `retryable` says whether asking again may help.
    """
    detail = {"code": code, "requestId": request_id, "retryable": retryable}
    return [Data(type="data-error", data=detail, transient=True), Error(error_text=text)]


def lost_ending(request_id: str) -> list[StreamEvent]:
    """The end of a run whose job is gone."""
    return failure_ending("lost", LOST_TEXT, request_id=request_id, retryable=True)


async def close_run(
    stream: EventStream, run: Run, ending: list[StreamEvent], closure: Closure
) -> bool:
    """Take the run over and end it: what is open, `ending`, `[DONE]`. False if it has ended before.

    A worker that still has the run is fenced off.
    """
    try:
        takeover = await stream.take_over(run.id)
    except StreamClosed:
        return False
    shown = Transcript.of(await read_all(stream, run.id))
    beginning = [] if takeover.offset else [Start(message_id=run.message_id)]
    events = [*beginning, *shown.closing(), *ending]
    entries = [*(event.encode() for event in events), DONE]
    append = Append(run.id, takeover.attempt, takeover.offset + 1, entries, closure)
    [verdict] = await stream.append(append)
    return not isinstance(verdict, Exception)
