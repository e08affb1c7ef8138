"""The replay of earlier runs to a client that reads a continued run from its start."""

from api.streaming.message_replay import TruncatedReplay, message_parts, without_execution
from shared.streams.event_stream import Entry
from shared.streams.events import (
    DONE,
    Data,
    Finish,
    FinishStep,
    Start,
    StartStep,
    TextStart,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputStart,
    ToolOutputAvailable,
    decode,
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


def test_calls_of_earlier_runs_are_not_executed_again() -> None:
    stored = entries_of(
        ToolInputStart(tool_call_id="c", tool_name="f"),
        ToolInputDelta(tool_call_id="c", input_text_delta='{"a'),
        ToolInputAvailable(tool_call_id="c", tool_name="f", input={"a": [1, "é"]}),
        ToolOutputAvailable(tool_call_id="c", output=1),
    )[:-1]

    shown = without_execution(stored)

    assert [entry.offset for entry in shown] == [1, 3, 4]
    assert [decode(entry.data) for entry in shown] == [
        ToolInputStart(tool_call_id="c", tool_name="f"),
        ToolInputDelta(tool_call_id="c", input_text_delta='{"a":[1,"é"]}'),
        ToolOutputAvailable(tool_call_id="c", output=1),
    ]


def test_call_with_provider_metadata_keeps_its_event() -> None:
    metadata = {"mamba": {"provider": "p", "details": {"signature": "s"}}}
    call = ToolInputAvailable(tool_call_id="c", tool_name="f", input={}, provider_metadata=metadata)
    stored = entries_of(call)[:-1]

    assert without_execution(stored) == stored


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
