"""The parts that earlier runs wrote to a message, for clients that rebuild it from the newest run.

AI SDK clients empty the message at the `start` event of a replay. The parts of the earlier runs
must follow it, because results of their tool calls would otherwise have no call.
"""

from collections.abc import Iterable

from pydantic_core import to_json

from shared.streams.event_stream import Entry
from shared.streams.events import DONE, ToolInputAvailable, ToolInputDelta, decode

#: Events of a run that are not parts of the message.
_RUN_EVENTS = tuple(
    b'{"type":"%b"' % kind
    for kind in (b"start", b"message-metadata", b"finish", b"abort", b"error", b"data-error")
)
_INPUT_DELTA = b'{"type":"tool-input-delta"'
_INPUT_AVAILABLE = b'{"type":"tool-input-available"'
_START_STEP = b'{"type":"start-step"'


def message_parts(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries that are parts of the message."""
    return [e for e in entries if e.data != DONE and not e.data.startswith(_RUN_EVENTS)]


def without_execution(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries of earlier runs whose calls no client executes again.

    All calls of earlier runs have responses. At `tool-input-available`, an AI SDK client calls
    `onToolCall`, so the complete arguments are replayed as streamed ones. Calls with provider
    metadata keep that event: later requests need the metadata, and no other event carries it.
    """
    return [shown for entry in entries if (shown := _without_execution(entry)) is not None]


def _without_execution(entry: Entry) -> Entry | None:
    if entry.data.startswith(_INPUT_DELTA):
        return None
    if not entry.data.startswith(_INPUT_AVAILABLE):
        return entry
    match decode(entry.data):
        case ToolInputAvailable(provider_metadata=None) as call:
            text = to_json(call.input).decode()
            delta = ToolInputDelta(tool_call_id=call.tool_call_id, input_text_delta=text)
            return entry._replace(data=delta.encode())
        case _:
            return entry


class TruncatedReplay:
    """Drops tool results before the run's first step: their calls are no longer stored."""

    def __init__(self) -> None:
        self._in_step = False

    def __call__(self, entries: Iterable[Entry]) -> list[Entry]:
        return [entry for entry in entries if self._keeps(entry)]

    def _keeps(self, entry: Entry) -> bool:
        self._in_step = self._in_step or entry.data.startswith(_START_STEP)
        return self._in_step or entry.data == DONE or entry.data.startswith(_RUN_EVENTS)
