"""Where an attempt starts: from the request alone, or from what earlier attempts have shown.

Completed steps are kept, and no completed tool is called again. A text that broke off is given to
the model as its own, with the wish to go on from there.
"""

from dataclasses import dataclass

from pydantic_ai import DeferredToolResults
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart

from shared.transcript import Step, ToolCall, Transcript
from worker.history import tool_return, tool_step

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
    #: Set where some calls of a step have their results, and the others are still to be made.
    pending: DeferredToolResults | None = None
    #: Nothing is left to ask the model: only the end of the stream is missing.
    complete: bool = False


def beginning(history: list[ModelMessage], transcript: Transcript) -> Beginning:
    if not transcript.steps:
        return Beginning(history, _prompt_after(history))
    *done, last = transcript.steps
    for step in done:
        history = [*history, *_messages(step)]
    if last.finished:
        history = [*history, *_messages(last)]
        return Beginning(history, complete=not last.calls)
    return _within(history, last)


def _within(history: list[ModelMessage], step: Step) -> Beginning:
    """Go on in the middle of a step."""
    if step.calls:
        answered = any(call.answered for call in step.calls)
        missing = {call.id: True for call in step.calls if not call.answered}
        pending = DeferredToolResults(approvals=dict(missing)) if answered and missing else None
        return Beginning([*history, *_messages(step)], pending=pending)
    if step.text:
        said = ModelResponse(parts=[TextPart(step.text)])
        return Beginning([*history, said], CONTINUE_PROMPT)
    return Beginning(history, _prompt_after(history))


def _prompt_after(history: list[ModelMessage]) -> str | None:
    """A history that ends in the assistant's own words is to be continued."""
    return CONTINUE_PROMPT if history and isinstance(history[-1], ModelResponse) else None


def _messages(step: Step) -> list[ModelMessage]:
    return tool_step(step.text, [(_call(call), _answer(call)) for call in step.calls])


def _call(call: ToolCall) -> ToolCallPart:
    return ToolCallPart(call.name, call.input if call.called else call.input_text, call.id)


def _answer(call: ToolCall) -> ToolReturnPart | None:
    return tool_return(call.name, call.id, call.output, call.error) if call.answered else None
