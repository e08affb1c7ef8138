"""Where an attempt starts, given the events in the run's stream."""

import pytest
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from shared.streams.tool_responses import ToolResponse
from shared.streams.transcript import (
    Transcript,
    TranscriptReasoning,
    TranscriptStep,
    TranscriptText,
    TranscriptToolCall,
)
from worker.agents.resume import ResumePoint, merge_split_step, resume_point
from worker.models.continue_prompt import CONTINUE_PROMPT

PROMPT_ONLY: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Hi")])]
WITH_ANSWER: list[ModelMessage] = [*PROMPT_ONLY, ModelResponse(parts=[TextPart("Hel")])]


def call(number: int, *, answered: bool = False, called: bool = True) -> TranscriptToolCall:
    return TranscriptToolCall(
        id=f"call-{number}",
        name="f",
        input_text='{"n":1}',
        input_complete=called,
        input={"n": 1} if called else None,
        completed=answered,
        output="ok" if answered else None,
    )


def start(*steps: TranscriptStep, history: list[ModelMessage] = PROMPT_ONLY) -> ResumePoint:
    return resume_point(history, Transcript(list(steps)))


def added(found: ResumePoint) -> list[str]:
    """The parts of the history after the prompt."""
    parts = [part for message in found.history[1:] for part in message.parts]
    return [_plain(part) for part in parts]


def _plain(part: object) -> str:
    match part:
        case TextPart(content=content):
            return content
        case ToolCallPart():
            return f"{part.tool_call_id}({part.args_as_json_str()})"
        case ToolReturnPart():
            return f"{part.tool_call_id}={part.content}:{part.outcome}"
        case _:
            return type(part).__name__


def test_empty_stream_starts_from_the_request() -> None:
    assert start() == ResumePoint(PROMPT_ONLY)


def test_request_ending_with_assistant_message_is_continued() -> None:
    assert start(history=WITH_ANSWER) == ResumePoint(WITH_ANSWER, CONTINUE_PROMPT)


def test_empty_step_starts_from_the_request() -> None:
    assert start(TranscriptStep()) == ResumePoint(PROMPT_ONLY)
    assert start(TranscriptStep(), history=WITH_ANSWER) == ResumePoint(WITH_ANSWER, CONTINUE_PROMPT)


def test_step_with_only_reasoning_is_repeated() -> None:
    assert start(TranscriptStep([TranscriptReasoning("r", "hm")])) == ResumePoint(PROMPT_ONLY)


@pytest.mark.parametrize("is_open", [True, False])
def test_interrupted_text_is_continued(is_open: bool) -> None:  # noqa: FBT001
    found = start(TranscriptStep([TranscriptText("t", "Hel", open=is_open)]))

    assert (found.prompt, added(found), found.complete) == (CONTINUE_PROMPT, ["Hel"], False)


def test_interrupted_call_is_requested_again() -> None:
    found = start(TranscriptStep([TranscriptText("t", "Hel"), call(1, called=False)]))

    assert (found.prompt, added(found)) == (CONTINUE_PROMPT, ["Hel"])


def test_call_without_result_is_executed() -> None:
    found = start(TranscriptStep([TranscriptText("t", "Hel"), call(1)]))

    assert added(found) == ["Hel", 'call-1({"n":1})']
    assert (found.prompt, found.approved) == (None, None)


def test_only_calls_without_result_are_executed() -> None:
    found = start(TranscriptStep([call(1, answered=True), call(2)]))

    assert added(found) == ['call-1({"n":1})', "call-1=ok:success", 'call-2({"n":1})']
    assert found.approved is None


def test_complete_unannounced_call_is_executed() -> None:
    found = start(TranscriptStep([call(1), call(2, called=False)]))

    assert added(found) == ['call-1({"n":1})', 'call-2({"n":1})']


def test_completed_calls_are_not_repeated() -> None:
    found = start(TranscriptStep([call(1, answered=True)]))

    assert added(found) == ['call-1({"n":1})', "call-1=ok:success"]
    assert (found.prompt, found.approved, found.complete) == (None, None, False)


def test_failed_call_reaches_the_model() -> None:
    failed = call(1, answered=True)
    failed.output, failed.error = None, "boom"

    assert added(start(TranscriptStep([failed])))[-1] == "call-1=boom:failed"


def test_finished_steps_are_kept() -> None:
    first = TranscriptStep([TranscriptText("t", "a"), call(1, answered=True)], finished=True)
    found = start(first, TranscriptStep([TranscriptText("u", "b")]))

    assert added(found) == ["a", 'call-1({"n":1})', "call-1=ok:success", "b"]
    assert found.prompt == CONTINUE_PROMPT


def test_model_continues_after_a_finished_step_with_calls() -> None:
    found = start(TranscriptStep([call(1, answered=True)], finished=True))

    assert (found.complete, found.prompt) == (False, None)


def test_run_is_complete_after_a_finished_text() -> None:
    assert start(TranscriptStep([TranscriptText("t", "Hello", open=False)], finished=True)).complete


def with_response(number: int, response: ToolResponse) -> TranscriptToolCall:
    found = call(number)
    found.response = response
    return found


def test_approved_calls_are_executed() -> None:
    yes = ToolResponse(approved=True)
    found = start(TranscriptStep([with_response(1, yes), call(2, answered=True)], finished=True))

    assert found.approved
    assert found.approved.approvals == {"call-1": True}
    assert added(found) == ['call-1({"n":1})', 'call-2({"n":1})', "call-2=ok:success"]


def test_approval_covers_only_its_own_call() -> None:
    found = start(TranscriptStep([with_response(1, ToolResponse(approved=True)), call(2)]))

    assert found.approved is None


def test_run_awaiting_the_client_is_complete() -> None:
    found = start(TranscriptStep([call(1, answered=True), call(2)], finished=True))

    assert (found.complete, found.awaits_client, found.approved) == (True, True, None)


def test_split_step_is_merged_when_the_results_arrive() -> None:
    found = start(TranscriptStep([TranscriptText("t", "Hel"), call(1, answered=True), call(2)]))
    request = ModelRequest(parts=[ToolReturnPart("f", "late", "call-2")])

    merge_split_step(found.history, request)

    assert found.split
    assert added(found) == ["Hel", 'call-1({"n":1})', 'call-2({"n":1})']
    assert [_plain(part) for part in request.parts] == ["call-1=ok:success", "call-2=late:success"]
