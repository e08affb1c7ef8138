"""What a client that reads a continued run from its start is sent of the earlier runs."""

from api.streaming.message_replay import TruncatedReplay, message_events
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
from tests.api.unit.streaming.test_basic_format import log_of

PARTS = [
    StartStep(),
    ToolInputStart(tool_call_id="c", tool_name="f"),
    Data(type="data-card", data=1),
    FinishStep(),
]


def test_what_makes_the_message_is_kept_and_what_ends_a_run_is_not() -> None:
    error = Data(type="data-error", data={}, transient=True)
    said = log_of(Start(message_id="m"), *PARTS, error, Finish(finish_reason="tool-calls"))

    assert [entry.data for entry in message_events(said)] == [part.encode() for part in PARTS]


def test_a_log_whose_message_has_lost_its_beginning_begins_with_a_step_of_its_own() -> None:
    lost = ToolOutputAvailable(tool_call_id="c", output=1)
    said = log_of(Start(message_id="m"), lost, StartStep(), TextStart(id="t"), lost, Finish())
    shorten = TruncatedReplay()

    kept: list[Entry] = [entry for one in said for entry in shorten([one])]

    assert [entry.offset for entry in kept] == [1, 3, 4, 5, 6, 7]
    assert kept[-1].data == DONE


def test_a_log_that_ends_at_once_still_ends() -> None:
    said = log_of(Start(message_id="m"), Finish())

    assert TruncatedReplay()(said) == said
