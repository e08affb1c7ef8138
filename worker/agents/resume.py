"""The starting point of an attempt: the request alone, or the output of earlier attempts.

Completed steps are kept, and completed tool calls are not repeated. An interrupted text is sent to
the model as its own message, with the request to continue it. A tool call of the client counts as
completed once the client has sent a tool response or approved the call.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic_ai import DeferredToolResults
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)

from shared.streams.transcript import Transcript, TranscriptStep, TranscriptToolCall
from worker.agents.history import tool_return, tool_step
from worker.models.continue_prompt import CONTINUE_PROMPT


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """The message history that the agent starts with, and how the run continues from there."""

    history: list[ModelMessage]
    #: The request to continue an interrupted text.
    prompt: str | None = None
    #: Approvals of the last step's calls that have no result yet.
    approved: DeferredToolResults | None = None
    #: The model has finished; only the terminal event is missing.
    complete: bool = False
    #: The run ends with tool calls that wait for the client.
    awaits_client: bool = False
    #: The last step is split in two: calls with results, and calls that still have to run.
    split: bool = False


def resume_point(history: list[ModelMessage], transcript: Transcript) -> ResumePoint:
    if not transcript.steps:
        return ResumePoint(history, _continue_prompt(history))
    *earlier, last = transcript.steps
    for step in earlier:
        history = [*history, *_messages(step)]
    if last.calls:
        return _after_calls(history, last)
    if last.finished:
        return ResumePoint([*history, *_messages(last)], complete=True)
    if last.text:
        interrupted = ModelResponse(parts=[TextPart(last.text)])
        return ResumePoint([*history, interrupted], CONTINUE_PROMPT)
    return ResumePoint(history, _continue_prompt(history))


def _after_calls(history: list[ModelMessage], step: TranscriptStep) -> ResumePoint:
    """Run the calls that have no result yet, or request the next step."""
    missing = step.incomplete_calls
    approved = [call for call in missing if call.response and call.response.approved]
    if missing and len(approved) == len(missing):
        results = DeferredToolResults(approvals={call.id: True for call in approved})
        return ResumePoint([*history, *_messages(step)], approved=results)
    if missing and step.finished:
        return ResumePoint(history, complete=True, awaits_client=True)
    completed = [call for call in step.calls if call.completed]
    if not (missing and completed):
        return ResumePoint([*history, *_messages(step)])
    # pydantic-ai treats a call next to a result as approved, so they go into separate steps.
    halves = [*_step_messages(step.text, completed), *_step_messages("", missing)]
    return ResumePoint([*history, *halves], split=True)


def merge_split_step(history: list[ModelMessage], request: ModelRequest) -> None:
    """Join the two halves of a split step once `request` holds the missing results."""
    match history[-3:]:
        case [ModelResponse() as first, ModelRequest() as results, ModelResponse() as second]:
            history[-3:] = [replace(first, parts=[*first.parts, *second.parts])]
            request.parts = [*results.parts, *request.parts]
        case _:
            pass


def _continue_prompt(history: list[ModelMessage]) -> str | None:
    """A history that ends with an assistant message is continued."""
    return CONTINUE_PROMPT if history and isinstance(history[-1], ModelResponse) else None


def _messages(step: TranscriptStep) -> list[ModelMessage]:
    return _step_messages(step.text, step.calls)


def _step_messages(text: str, calls: Sequence[TranscriptToolCall]) -> list[ModelMessage]:
    return tool_step(text, [(_call(call), _result(call)) for call in calls])


def _call(call: TranscriptToolCall) -> ToolCallPart:
    return ToolCallPart(call.name, call.input if call.input_complete else call.input_text, call.id)


def _result(call: TranscriptToolCall) -> ToolReturnPart | None:
    return tool_return(call.name, call.id, call.output, call.error) if call.completed else None
