"""Earlier answers replace the client's versions of them at the right place."""

import pytest

from shared.chat.messages import Message, Role, StepStart, TextPart, ToolPart
from shared.runs.run import Run
from shared.streams.event_stream import Entry
from shared.streams.events import (
    FinishStep,
    StartStep,
    StreamEvent,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolInputAvailable,
    ToolInputStart,
    ToolOutputAvailable,
)
from shared.streams.transcript import Transcript
from tests.support.fakes.runs import new_run
from worker.jobs.earlier_answers import with_answer

RUN = new_run("run-1").model_copy(update={"message_id": "a1", "answers": "u1"})


def message(name: str, *texts: str) -> Message:
    role: Role = "assistant" if name.startswith("a") else "user"
    return Message(id=name, role=role, parts=tuple(TextPart(text=text) for text in texts or [name]))


def transcript(*events: StreamEvent) -> Transcript:
    entries = [Entry(1, offset, event.encode()) for offset, event in enumerate(events, start=1)]
    return Transcript.from_entries(entries)


def spoken(text: str) -> list[StreamEvent]:
    return [StartStep(), TextStart(id="t"), TextDelta(id="t", delta=text)]


WHOLE = [*spoken("whole"), TextEnd(id="t"), FinishStep()]
U1, U2, U3, HALF = message("u1"), message("u2"), message("u3"), message("a1", "ha")
ANSWER = Message(id="a1", role="assistant", parts=(StepStart(), TextPart(text="whole")))


@pytest.mark.parametrize(
    "history",
    [
        (U1, HALF, U2),
        (U1, U2),
        (U1, U2, HALF),
        (U1, HALF, U2, HALF),
    ],
    ids=["half", "missing", "misplaced", "twice"],
)
def test_whole_answer_follows_its_question(history: tuple[Message, ...]) -> None:
    assert with_answer(history, RUN, transcript(*WHOLE)) == (U1, ANSWER, U2)


def test_answers_of_several_waiting_runs_are_all_placed() -> None:
    second = RUN.model_copy(update={"message_id": "a2", "answers": "u2"})
    answer = Message(id="a2", role="assistant", parts=ANSWER.parts)

    history = with_answer((U1, HALF, U2, U3), RUN, transcript(*WHOLE))

    assert with_answer(history, second, transcript(*WHOLE)) == (U1, ANSWER, U2, answer, U3)


def test_repeated_message_asks_for_another_answer() -> None:
    assert with_answer((U1,), RUN, transcript(*WHOLE)) == (U1,)


def test_answer_to_an_unknown_message_is_left_out() -> None:
    assert with_answer((U2,), RUN, transcript(*WHOLE)) == (U2,)


def test_answer_is_replaced_where_its_question_is_unknown() -> None:
    run: Run = RUN.model_copy(update={"answers": None})

    assert with_answer((U1, HALF, U2), run, transcript(*WHOLE)) == (U1, ANSWER, U2)


def test_stopped_answer_keeps_what_was_written() -> None:
    stopped = Message(id="a1", role="assistant", parts=(StepStart(), TextPart(text="who")))

    assert with_answer((U1, U2), RUN, transcript(*spoken("who"))) == (U1, stopped, U2)


def test_expired_answer_keeps_the_version_of_the_client() -> None:
    assert with_answer((U1, HALF, U2), RUN, transcript()) == (U1, HALF, U2)


def test_completed_call_is_kept_and_a_pending_one_left_out() -> None:
    calls: list[StreamEvent] = [StartStep()]
    for name in ("done", "open"):
        calls.append(ToolInputStart(tool_call_id=name, tool_name="search"))
        calls.append(ToolInputAvailable(tool_call_id=name, tool_name="search", input={"q": name}))
    calls.append(ToolOutputAvailable(tool_call_id="done", output=[1]))
    calls += [ToolApprovalRequest(tool_call_id="open", approval_id="x"), FinishStep()]

    _, answer, _ = with_answer((U1, U2), RUN, transcript(*calls))

    assert answer.parts == (
        StepStart(),
        ToolPart(tool_call_id="done", tool_name="search", input={"q": "done"}, output=[1]),
    )


PENDING = [
    *spoken("whole"),
    TextEnd(id="t"),
    ToolInputStart(tool_call_id="open", tool_name="ask"),
    ToolInputAvailable(tool_call_id="open", tool_name="ask", input={}),
    FinishStep(),
]


def test_version_with_responses_of_the_client_is_kept() -> None:
    result = ToolPart(tool_call_id="open", tool_name="ask", input={}, output="Yes")
    responded = Message(id="a1", role="assistant", parts=(TextPart(text="whole"), result))

    assert with_answer((U1, responded, U2), RUN, transcript(*PENDING)) == (U1, responded, U2)


def test_half_of_an_answer_with_a_pending_call_is_completed() -> None:
    assert with_answer((U1, HALF, U2), RUN, transcript(*PENDING)) == (U1, ANSWER, U2)
