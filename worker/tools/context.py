"""The run that a tool call belongs to, and the idempotency key of the call."""

from dataclasses import dataclass

from pydantic_ai import RunContext
from pydantic_ai.messages import ModelResponse, ToolCallPart


@dataclass(frozen=True, slots=True)
class AgentRun:
    """The run that an agent works on. Tools receive it as pydantic-ai's `deps`."""

    run_id: str
    chat_id: str
    request_id: str


def call_key(context: RunContext[AgentRun]) -> str:
    """Return an idempotency key for the current tool call. It is the same in every attempt.

    If a worker dies after a call took effect and before its result is stored, the next attempt
    repeats the call with the same key. The key counts the occurrences of the tool call id because
    some models reuse an id in a later step.
    """
    calls = (
        part.tool_call_id
        for message in context.messages
        if isinstance(message, ModelResponse)
        for part in message.parts
        if isinstance(part, ToolCallPart)
    )
    count = sum(call_id == context.tool_call_id for call_id in calls)
    return f"{context.deps.run_id}:{context.tool_call_id}:{count}"
