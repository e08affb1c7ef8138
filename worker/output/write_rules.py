"""The rules of the writer: which events are content, how long events wait, and what is merged."""

from shared.streams.events import (
    FinishStep,
    ReasoningDelta,
    Start,
    StartStep,
    StreamEvent,
    TextDelta,
    TextEnd,
    ToolInputAvailable,
    ToolInputStart,
    merge_deltas,
)

#: Events that show content to a reader.
CONTENT = (TextDelta, ReasoningDelta, ToolInputStart, ToolInputAvailable)
#: Events that show nothing to a reader. Another event follows soon, so one append writes both.
_BOUNDARIES = (StartStep, FinishStep, TextEnd)
#: The longest delay of `start`, in seconds. Meanwhile, an idle worker sends the model request.
_START_DELAY = 0.005
#: Maximum size of a delta, in characters, that another delta is still merged into.
_MAX_MERGED_CHARS = 4096


def delay_of(event: StreamEvent) -> float | None:
    """Return the longest delay of an event, in seconds. None: it waits for the next event."""
    if isinstance(event, _BOUNDARIES):
        return None
    return _START_DELAY if isinstance(event, Start) else 0


def merge(last: StreamEvent, event: StreamEvent) -> StreamEvent | None:
    """Return one event in place of two; None if they cannot be merged, or the first is long."""
    size = len(getattr(last, "delta", "") or getattr(last, "input_text_delta", ""))
    return merge_deltas(last, event) if size < _MAX_MERGED_CHARS else None
