"""Where an attempt starts: from the request alone, or from what earlier attempts have shown.

Completed steps are kept, and no completed tool is called again. A text that broke off is given to
the model as its own, with the wish to go on from there. Calls that the client has answered have
their results, or are approved: nothing else is.
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

from shared.streams.transcript import Step, Transcript, TranscriptToolCall
from worker.agents.history import tool_return, tool_step

CONTINUE_PROMPT = (
    "Continue your previous answer exactly where it broke off. Do not repeat anything of it, and "
    "do not comment on the interruption: the next character you write follows its last one."
)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the agent is started with: its history, and how it goes on from there."""

    history: list[ModelMessage]
    #: Set where a text has to be continued.
    prompt: str | None = None
    #: Set where the calls of a step that have no result yet are to be made, as approved.
    approved: DeferredToolResults | None = None
    #: Nothing is left to ask the model: only the end of the stream is missing.
    complete: bool = False
    #: The run ends with calls that its client has to answer.
    pending: bool = False
    #: The calls of the last step stand in two: those with results, and those that are to be made.
    split: bool = False


def beginning(history: list[ModelMessage], transcript: Transcript) -> Beginning:
    if not transcript.steps:
        return Beginning(history, _prompt_after(history))
    *done, last = transcript.steps
    for step in done:
        history = [*history, *_messages(step)]
    if not last.finished:
        return _within(history, last)
    if last.calls:
        return _after_calls(history, last)
    return Beginning([*history, *_messages(last)], complete=True)


def _within(history: list[ModelMessage], step: Step) -> Beginning:
    """Go on in the middle of a step."""
    if step.calls:
        return _after_calls(history, step)
    if step.text:
        said = ModelResponse(parts=[TextPart(step.text)])
        return Beginning([*history, said], CONTINUE_PROMPT)
    return Beginning(history, _prompt_after(history))


def _after_calls(history: list[ModelMessage], step: Step) -> Beginning:
    """Make the calls that have no result yet; or ask for the next step."""
    missing = step.missing
    approved = [call for call in missing if call.answer and call.answer.approved]
    if missing and len(approved) == len(missing):
        results = DeferredToolResults(approvals={call.id: True for call in approved})
        return Beginning([*history, *_messages(step)], approved=results)
    if missing and step.finished:
        return Beginning(history, complete=True, pending=True)
    made = [call for call in step.calls if call.answered]
    if not (missing and made):
        return Beginning([*history, *_messages(step)])
    # A result beside a call would say that the call is approved: they are given as two steps.
    halves = [*_step(step.text, made), *_step("", missing)]
    return Beginning([*history, *halves], split=True)


def rejoin(history: list[ModelMessage], request: ModelRequest) -> None:
    """Make one step of a split one, now that `request` holds the results that were missing."""
    match history[-3:]:
        case [ModelResponse() as said, ModelRequest() as results, ModelResponse() as rest]:
            history[-3:] = [replace(said, parts=[*said.parts, *rest.parts])]
            request.parts = [*results.parts, *request.parts]
        case _:
            pass


def _prompt_after(history: list[ModelMessage]) -> str | None:
    """A history that ends in the assistant's own words is to be continued."""
    return CONTINUE_PROMPT if history and isinstance(history[-1], ModelResponse) else None


def _messages(step: Step) -> list[ModelMessage]:
    return _step(step.text, step.calls)


def _step(text: str, calls: Sequence[TranscriptToolCall]) -> list[ModelMessage]:
    return tool_step(text, [(_call(call), _answer(call)) for call in calls])


def _call(call: TranscriptToolCall) -> ToolCallPart:
    return ToolCallPart(call.name, call.input if call.called else call.input_text, call.id)


def _answer(call: TranscriptToolCall) -> ToolReturnPart | None:
    return tool_return(call.name, call.id, call.output, call.error) if call.answered else None
