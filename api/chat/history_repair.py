"""Repairs the history of a request, using its own messages only.

Tool results in a later part or message are added to their calls, by id. Parts that models cannot
receive with the role of their message become unusable. Responses to calls that a run waits for are
in `continuation.py`.
"""

from collections.abc import Sequence

from api.chat.message import LocatedPart, UIMessage
from api.chat.parts.ai_sdk import OtherPart, UIReasoningPart, UIToolPart
from api.chat.parts.ai_sdk_v4 import Invocation, ToolInvocation
from api.chat.parts.part import FILE_PARTS
from api.chat.parts.separate_calls import SeparateCall, SeparateResult
from api.chat.parts.unusable import UnusablePart

_NOT_THE_ASSISTANTS = "is not in a message of the assistant"


def add_results_to_calls(messages: Sequence[UIMessage]) -> None:
    """Add each result to its call. Calls without a result, and the reverse, become unusable."""
    waiting: dict[str, list[LocatedPart]] = {}
    for message in messages:
        calls: dict[str, list[LocatedPart]] = {}
        for located in message.located_parts():
            part: object = located.part
            if isinstance(part, SeparateCall):
                if message.role == "assistant":
                    if part.has_result:
                        continue
                    calls.setdefault(part.call_id, []).append(located)
                    _leave_out(waiting.pop(part.call_id, ()))
                else:
                    located.replace(_unusable_call(part.name, _NOT_THE_ASSISTANTS))
            elif isinstance(part, SeparateResult):
                _complete(calls if part.call_id in calls else waiting, part, located)
        waiting |= {call_id: unanswered for call_id, unanswered in calls.items() if unanswered}
    for unanswered in waiting.values():
        _leave_out(unanswered)


def replace_misplaced_parts(messages: Sequence[UIMessage]) -> None:
    """Make parts unusable that models cannot receive with the role of their message."""
    for message in messages:
        for located in message.located_parts():
            if (misplaced := _misplaced(located.part, message.role)) is not None:
                located.replace(misplaced)


def _complete(
    calls: dict[str, list[LocatedPart]], result: SeparateResult, located: LocatedPart
) -> None:
    if waiting := calls.get(result.call_id):
        waiting.pop(0).part.complete(result)
    else:
        reason = "No earlier tool call has this id, or it already has a result."
        located.replace(UnusablePart(type="tool result", reason=reason))


def _misplaced(part: object, role: str) -> UnusablePart | None:
    """Return what stands for a part that models cannot receive with this role."""
    if isinstance(part, UnusablePart | OtherPart | SeparateCall | SeparateResult):
        return None
    if role == "tool":
        reason = "A message with the role `tool` can only contain tool results."
        return UnusablePart(type="content", reason=reason)
    call = part.tool_invocation if isinstance(part, ToolInvocation) else part
    if role != "assistant" and isinstance(call, UIToolPart | Invocation):
        return _unusable_call(call.name, _NOT_THE_ASSISTANTS)
    if role != "assistant" and isinstance(part, UIReasoningPart):
        return UnusablePart(type="reasoning", reason="Only answers can contain reasoning.")
    if role == "system" and isinstance(part, FILE_PARTS):
        reason = "A message with the role `system` can only contain texts."
        return UnusablePart(type="file", filename=part.normalized().filename, reason=reason)
    return None


def _leave_out(calls: Sequence[LocatedPart]) -> None:
    for located in calls:
        located.replace(_unusable_call(located.part.name, "has no result"))


def _unusable_call(tool_name: str, problem: str) -> UnusablePart:
    return UnusablePart(type="tool call", reason=f"The call of “{tool_name[:100]}” {problem}.")
