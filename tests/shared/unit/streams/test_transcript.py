import threading
import time
import timeit
from collections.abc import Iterable

import pytest

from shared.streams.event_stream import Entry
from shared.streams.events import (
    DONE,
    Abort,
    Data,
    Finish,
    FinishStep,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    Start,
    StartStep,
    StreamEvent,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
)
from shared.streams.page_reader import PAGE_BYTES, PROCESS_BUDGET, read_pages
from shared.streams.tool_responses import ToolResponse
from shared.streams.transcript import (
    Transcript,
    TranscriptReasoning,
    TranscriptText,
    TranscriptToolCall,
    read_transcript,
)
from tests.support.fakes.memory_stream import MemoryEventStream

BEGIN = [Start(message_id="m"), StartStep()]


def transcript(*events: StreamEvent) -> Transcript:
    """What a log with these events says."""
    return Transcript.from_entries(
        Entry(1, offset, event.encode()) for offset, event in enumerate(events, start=1)
    )


def continuing(entries: Iterable[Entry], responses: dict[str, ToolResponse]) -> Transcript:
    folded = Transcript.from_entries(entries)
    folded.begin_run(responses)
    return folded


def called(call_id: str = "c") -> list[StreamEvent]:
    return [
        ToolInputStart(tool_call_id=call_id, tool_name="tool"),
        ToolInputDelta(tool_call_id=call_id, input_text_delta='{"a":'),
        ToolInputDelta(tool_call_id=call_id, input_text_delta=" 1}"),
        ToolInputAvailable(tool_call_id=call_id, tool_name="tool", input={"a": 1}),
    ]


# Folding


def test_empty_stream_gives_an_empty_transcript() -> None:
    empty = transcript()

    assert empty.steps == []
    assert empty.parts == []
    assert not empty.step_open
    assert empty.closing_events() == []


def test_text_is_folded_from_its_deltas() -> None:
    folded = transcript(
        *BEGIN,
        TextStart(id="1"),
        TextDelta(id="1", delta="Hello"),
        TextDelta(id="1", delta=", world"),
        TextEnd(id="1"),
    )

    assert folded.parts == [TranscriptText("1", "Hello, world", open=False)]
    assert folded.steps[0].text == "Hello, world"


def test_parts_are_ordered_by_their_start() -> None:
    folded = transcript(
        *BEGIN,
        ReasoningStart(id="r"),
        ReasoningDelta(id="r", delta="Hm"),
        TextStart(id="t"),
        TextDelta(id="t", delta="Yes"),
        ReasoningDelta(id="r", delta="m"),
        ReasoningEnd(id="r"),
    )

    assert folded.parts == [TranscriptReasoning("r", "Hmm", open=False), TranscriptText("t", "Yes")]
    assert folded.steps[0].text == "Yes"


def test_parts_belong_to_their_step() -> None:
    folded = transcript(
        *BEGIN,
        TextStart(id="1"),
        TextDelta(id="1", delta="one"),
        TextEnd(id="1"),
        FinishStep(),
        StartStep(),
        TextStart(id="2"),
        TextDelta(id="2", delta="two"),
    )

    assert [step.text for step in folded.steps] == ["one", "two"]
    assert [step.finished for step in folded.steps] == [True, False]


def test_repeated_part_id_refers_to_the_newest_part() -> None:
    folded = transcript(
        *BEGIN,
        TextStart(id="1"),
        TextDelta(id="1", delta="one"),
        TextEnd(id="1"),
        TextStart(id="1"),
        TextDelta(id="1", delta="two"),
    )

    assert folded.parts == [TranscriptText("1", "one", open=False), TranscriptText("1", "two")]


def test_text_and_reasoning_may_share_an_id() -> None:
    folded = transcript(
        *BEGIN,
        TextStart(id="1"),
        ReasoningStart(id="1"),
        TextDelta(id="1", delta="text"),
        ReasoningDelta(id="1", delta="thought"),
        TextEnd(id="1"),
    )

    assert folded.parts == [
        TranscriptText("1", "text", open=False),
        TranscriptReasoning("1", "thought"),
    ]


def test_call_is_complete_once_its_input_is_available() -> None:
    streamed = transcript(*BEGIN, *called()[:-1])
    whole = transcript(*BEGIN, *called())

    assert streamed.parts == [TranscriptToolCall("c", "tool", '{"a": 1}')]
    assert streamed.steps[0].calls == []
    assert whole.parts == [
        TranscriptToolCall("c", "tool", '{"a": 1}', input_complete=True, input={"a": 1})
    ]
    assert whole.steps[0].calls == whole.parts


@pytest.mark.parametrize("output", [{"b": 2}, "text", None])
def test_output_completes_a_call(output: object) -> None:
    [call] = transcript(
        *BEGIN, *called(), ToolOutputAvailable(tool_call_id="c", output=output)
    ).parts

    assert isinstance(call, TranscriptToolCall)
    assert (call.completed, call.output, call.error) == (True, output, None)


def test_output_error_completes_a_call() -> None:
    [call] = transcript(*BEGIN, *called(), ToolOutputError(tool_call_id="c", error_text="no")).parts

    assert isinstance(call, TranscriptToolCall)
    assert (call.completed, call.output, call.error) == (True, None, "no")


def test_input_error_completes_a_call() -> None:
    wrong = ToolInputError(tool_call_id="c", tool_name="tool", input="{", error_text="no JSON")
    [call] = transcript(*BEGIN, *called()[:2], wrong).parts

    assert isinstance(call, TranscriptToolCall)
    assert (call.input_complete, call.input) == (True, "{")
    assert (call.completed, call.error) == (True, "no JSON")


def test_parallel_calls_get_their_own_results() -> None:
    folded = transcript(
        *BEGIN,
        *called("a"),
        *called("b"),
        ToolOutputAvailable(tool_call_id="b", output="B"),
        ToolOutputAvailable(tool_call_id="a", output="A"),
    )

    assert [(call.id, call.output) for call in folded.steps[0].calls] == [("a", "A"), ("b", "B")]


def test_events_without_parts_are_ignored() -> None:
    folded = transcript(*BEGIN, Data(type="data-x", data=1, transient=True), Finish(), Abort())

    assert folded.parts == []


def test_done_entry_is_skipped() -> None:
    entries = [Entry(1, 1, Start(message_id="m").encode()), Entry(1, 2, DONE)]

    assert Transcript.from_entries(entries).steps == []


# Closing


def test_closing_events_finish_an_open_step() -> None:
    assert transcript(*BEGIN).closing_events() == [FinishStep()]


def test_finished_step_has_no_closing_events() -> None:
    closed = transcript(*BEGIN, TextStart(id="1"), TextEnd(id="1"), FinishStep())

    assert closed.closing_events() == []


def test_closing_events_end_parts_before_the_step() -> None:
    broken_off = transcript(
        *BEGIN,
        ReasoningStart(id="r"),
        TextStart(id="1"),
        TextEnd(id="1"),
        TextStart(id="2"),
        TextDelta(id="2", delta="and so"),
    )

    assert broken_off.closing_events() == [ReasoningEnd(id="r"), TextEnd(id="2"), FinishStep()]


def test_calls_have_no_closing_events() -> None:
    assert transcript(*BEGIN, *called()[:2]).closing_events() == [FinishStep()]


def test_closing_events_leave_nothing_open() -> None:
    broken_off = [*BEGIN, ReasoningStart(id="r"), TextStart(id="1"), *called()]

    closed = transcript(*broken_off, *transcript(*broken_off).closing_events())

    assert closed.closing_events() == []
    assert not closed.step_open


# Several runs of one message


def log(*events: StreamEvent) -> list[Entry]:
    return [Entry(1, offset, event.encode()) for offset, event in enumerate(events, start=1)]


WAITING = [
    *BEGIN,
    *called("server"),
    ToolOutputAvailable(tool_call_id="server", output=1),
    *called("client"),
    *called("asked"),
    ToolApprovalRequest(approval_id="a", tool_call_id="asked"),
    FinishStep(),
    Finish(finish_reason="tool-calls"),
]


def test_calls_without_result_are_pending_after_the_step() -> None:
    assert [call.id for call in transcript(*WAITING).pending] == ["client", "asked"]
    assert transcript(*WAITING[:-2]).pending == []
    assert transcript(*BEGIN, FinishStep()).pending == []
    assert transcript().pending == []


def test_only_requested_approvals_have_an_approval_id() -> None:
    approvals = {call.id: call.approval_id for call in transcript(*WAITING).steps[0].calls}

    assert approvals == {"server": None, "client": None, "asked": "a"}


def test_tool_responses_attach_to_pending_calls_only() -> None:
    yes = ToolResponse(approved=True)

    folded = continuing(log(*WAITING), {"server": yes, "asked": yes})

    assert [call.response for call in folded.steps[0].calls] == [None, None, yes]
    assert not folded.has_output


def test_continued_run_extends_the_transcript() -> None:
    answers = {"asked": ToolResponse(approved=False, reason="No.")}
    folded = continuing(log(*WAITING), answers)

    folded.fold(
        log(
            Start(message_id="m"),
            ToolOutputAvailable(tool_call_id="client", output=2),
            ToolOutputDenied(tool_call_id="asked"),
        )
    )

    assert folded.pending == []
    assert [(call.output, call.error) for call in folded.steps[0].calls] == [
        *((1, None), (2, None), (None, "No."))
    ]
    assert not folded.has_output

    folded.fold(log(StartStep(), TextStart(id="text-1")))

    assert folded.has_output
    assert len(folded.steps) == 2


def test_reused_call_id_is_another_call() -> None:
    folded = continuing(log(*WAITING), {"client": ToolResponse(output=2)})

    folded.fold(log(StartStep(), *called("client"), FinishStep()))

    assert [call.response for call in folded.pending] == [None]


def test_results_of_unknown_calls_are_skipped() -> None:
    folded = transcript(Start(message_id="m"), ToolOutputDenied(tool_call_id="x"), StartStep())

    assert len(folded.steps) == 1


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        (ToolResponse(approved=True), None),
        (ToolResponse(approved=False), ToolOutputDenied(tool_call_id="c")),
        (ToolResponse(output=None), ToolOutputAvailable(tool_call_id="c", output=None)),
        (ToolResponse(error="Oh"), ToolOutputError(tool_call_id="c", error_text="Oh")),
    ],
)
def test_tool_response_maps_to_its_event(answer: ToolResponse, event: StreamEvent | None) -> None:
    assert answer.to_event("c") == event


# Large streams


def test_folding_interleaved_deltas_keeps_their_order() -> None:
    folded = transcript(
        *BEGIN,
        TextStart(id="1"),
        ToolInputStart(tool_call_id="1", tool_name="tool"),
        *(
            event
            for number in range(3)
            for event in (
                TextDelta(id="1", delta=f"t{number}"),
                ToolInputDelta(tool_call_id="1", input_text_delta=f"i{number}"),
            )
        ),
    )

    assert folded.parts == [
        TranscriptText("1", "t0t1t2"),
        TranscriptToolCall("1", "tool", "i0i1i2"),
    ]


def test_folding_time_is_linear_in_parts_and_text() -> None:
    """Ten times as many parts with ten times as much text take about ten times the CPU time."""

    def log_of(count: int) -> list[Entry]:
        events: list[StreamEvent] = [*BEGIN, TextStart(id="long")]
        for number in range(count):
            events += [
                TextStart(id=f"{number}"),
                TextDelta(id="long", delta="x" * 200),
                TextEnd(id=f"{number}"),
            ]
        return [Entry(1, offset, event.encode()) for offset, event in enumerate(events, start=1)]

    def seconds(entries: list[Entry]) -> float:
        def fold() -> object:
            return Transcript.from_entries(entries)

        return min(timeit.repeat(fold, timer=time.process_time, number=1, repeat=10))

    small, large = log_of(1_000), log_of(10_000)

    # Other processes use the caches too, which the larger one needs more. Quadratic is 100 times.
    assert seconds(large) < 50 * seconds(small)


@pytest.fixture
def stored() -> MemoryEventStream:
    """A message that two runs wrote: the second one is larger than a page."""
    stream = MemoryEventStream()
    stream.entries["one"] = log(*WAITING)
    text = [TextDelta(id="1", delta="x" * 1000)] * 100
    stream.entries["two"] = log(StartStep(), TextStart(id="1"), *text, TextDelta(id="1", delta="."))
    return stream


async def test_streams_of_a_message_are_read_page_by_page(stored: MemoryEventStream) -> None:
    answers = {"client": ToolResponse(output=2)}
    sizes: list[int] = []
    threads: list[int] = []

    def observe(entries: Iterable[Entry]) -> None:
        sizes.append(sum(len(entry.data) for entry in entries))
        threads.append(threading.get_ident())

    folded = await read_transcript(
        stored, "two", continues=["one"], responses=answers, observe=observe
    )

    expected = continuing(stored.entries["one"], answers)
    expected.fold(stored.entries["two"])
    assert folded == expected
    assert folded.parts[-1] == TranscriptText("1", "x" * 100_000 + ".")
    assert len(sizes) > 1
    assert max(sizes) <= PAGE_BYTES
    assert threading.get_ident() not in threads


async def test_run_without_entries_of_its_own_is_not_read(stored: MemoryEventStream) -> None:
    folded = await read_transcript(stored, None, continues=["one"])

    assert folded == continuing(stored.entries["one"], {})
    assert not folded.has_output


async def test_small_pages_are_processed_in_the_event_loop(stored: MemoryEventStream) -> None:
    threads: list[int] = []

    assert await read_pages(stored, "one", lambda _: threads.append(threading.get_ident()))
    assert not await read_pages(stored, "missing", lambda _: threads.append(0))

    assert threads == [threading.get_ident()]


async def test_budget_is_given_back_if_processing_fails(stored: MemoryEventStream) -> None:
    stored.entries["one"] = [Entry(1, 1, b"x" * 2 * PAGE_BYTES)]

    def fail(entries: list[Entry]) -> None:
        assert PROCESS_BUDGET.used == len(entries[0].data)
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        await read_pages(stored, "one", fail)

    assert PROCESS_BUDGET.used == 0
