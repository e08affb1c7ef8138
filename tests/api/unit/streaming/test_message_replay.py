"""The replay of earlier runs to a client that reads a continued run from its start."""

from api.streaming.message_replay import TruncatedReplay, message_parts
from shared.streams.event_stream import Entry
from shared.streams.events import (
    DONE,
    Data,
    Finish,
    FinishStep,
    Start,
    StartStep,
    TextStart,
    ToolInputStart,
    ToolOutputAvailable,
)
from tests.support.fakes.events import entries_of

PARTS = [
    StartStep(),
    ToolInputStart(tool_call_id="c", tool_name="f"),
    Data(type="data-card", data=1),
    FinishStep(),
]


def test_message_parts_exclude_start_and_terminal_events() -> None:
    error = Data(type="data-error", data={}, transient=True)
    stored = entries_of(Start(message_id="m"), *PARTS, error, Finish(finish_reason="tool-calls"))

    assert [entry.data for entry in message_parts(stored)] == [part.encode() for part in PARTS]


def test_truncated_replay_starts_with_step_start() -> None:
    lost = ToolOutputAvailable(tool_call_id="c", output=1)
    stored = entries_of(Start(message_id="m"), lost, StartStep(), TextStart(id="t"), lost, Finish())
    truncate = TruncatedReplay()

    kept: list[Entry] = [entry for entry in stored for entry in truncate([entry])]

    assert [entry.offset for entry in kept] == [1, 3, 4, 5, 6, 7]
    assert kept[-1].data == DONE


def test_truncated_replay_keeps_an_immediate_end() -> None:
    stored = entries_of(Start(message_id="m"), Finish())

    assert TruncatedReplay()(stored) == stored
