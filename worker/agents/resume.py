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
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from shared.streams.transcript import (
    Transcript,
    TranscriptReasoning,
    TranscriptStep,
    TranscriptText,
    TranscriptToolCall,
)
from worker.agents.history import model_step, tool_return
from worker.models.continue_prompt import CONTINUE_PROMPT
from worker.output.provider_metadata import joined_text, thinking_part, tool_call_part


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
        return ResumePoint([*history, *_messages(last)], CONTINUE_PROMPT)
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
    halves = [*_step_messages(step, completed), *model_step([], None, _with_results(missing))]
    return ResumePoint([*history, *halves], split=True)


def merge_split_step(history: list[ModelMessage], request: ModelRequest) -> None:
    """Join the two halves of a split step once `request` holds the missing results."""
    match history[-3:]:
        case [ModelResponse() as first, ModelRequest() as results, ModelResponse() as second]:
            history[-3:] = [replace(first, parts=[*first.parts, *second.parts])]
            request.parts = [*results.parts, *request.parts]
        case _:
            pass


def merge_continued_step(history: list[ModelMessage]) -> None:
    """Join an interrupted response at the end of the history and the rest that continues it.

    Later requests then contain the response as if it had not been interrupted.
    """
    match history[-3:]:
        case [
            ModelResponse() as start,
            ModelRequest(parts=[UserPromptPart(content=prompt)]),
            ModelResponse() as rest,
        ] if prompt == CONTINUE_PROMPT:
            history[-3:] = [replace(rest, parts=_joined_parts([*start.parts, *rest.parts]))]
        case _:
            pass


def _joined_parts(parts: list[ModelResponsePart]) -> list[ModelResponsePart]:
    """Join the texts. Reasoning comes first, and calls come last."""
    texts = [part for part in parts if isinstance(part, TextPart)]
    text = "".join(part.content for part in texts)
    reasoning = [part for part in parts if isinstance(part, ThinkingPart)]
    calls = [part for part in parts if not isinstance(part, TextPart | ThinkingPart)]
    return [*reasoning, *([replace(texts[-1], content=text)] if texts else []), *calls]


def _continue_prompt(history: list[ModelMessage]) -> str | None:
    """A history that ends with an assistant message is continued."""
    return CONTINUE_PROMPT if history and isinstance(history[-1], ModelResponse) else None


def _messages(step: TranscriptStep) -> list[ModelMessage]:
    return _step_messages(step, step.calls)


def _step_messages(step: TranscriptStep, calls: Sequence[TranscriptToolCall]) -> list[ModelMessage]:
    texts = [(part.text, part.metadata) for part in step.parts if isinstance(part, TranscriptText)]
    return model_step(_reasoning(step), joined_text(texts), _with_results(calls))


def _reasoning(step: TranscriptStep) -> list[ThinkingPart]:
    """Return the complete reasoning of a step. Interrupted reasoning has no metadata."""
    return [
        thinking_part(part.text, part.metadata)
        for part in step.parts
        if isinstance(part, TranscriptReasoning) and part.metadata
    ]


def _with_results(
    calls: Sequence[TranscriptToolCall],
) -> list[tuple[ToolCallPart, ToolReturnPart | None]]:
    return [(_call(call), _result(call)) for call in calls]


def _call(call: TranscriptToolCall) -> ToolCallPart:
    arguments = call.input if call.input_complete else call.input_text
    return tool_call_part(call.name, arguments, call.id, call.metadata)


def _result(call: TranscriptToolCall) -> ToolReturnPart | None:
    return tool_return(call.name, call.id, call.output, call.error) if call.completed else None
