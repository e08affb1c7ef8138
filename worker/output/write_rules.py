"""The rules of the writer: what is content, how long events may wait, and what is merged."""

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
#: The longest delay of `start`, in seconds. It usually suffices to send the model request first.
_START_DELAY = 0.005
#: A delta with this many characters or more is not extended by another one.
_MAX_MERGED_CHARS = 4096


def delay_of(event: StreamEvent) -> float | None:
    """Return how long an event may wait, in seconds. None: until the next append of its run."""
    if isinstance(event, _BOUNDARIES):
        return None
    return _START_DELAY if isinstance(event, Start) else 0


def merge(last: StreamEvent, event: StreamEvent) -> StreamEvent | None:
    """Return one event that replaces both; None if they cannot be merged or `last` is long."""
    size = len(getattr(last, "delta", "") or getattr(last, "input_text_delta", ""))
    return merge_deltas(last, event) if size < _MAX_MERGED_CHARS else None
