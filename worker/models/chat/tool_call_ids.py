"""Ids of tool calls. Inside Mamba they are unique; a model receives the ids that it has sent.

Some models use an id again in a later step, or twice in one response. Clients, and pydantic-ai,
identify a call by its id.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import count
from typing import Any

from openai.types.chat import ChatCompletionMessageParam
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart

#: The key of a tool call's details that holds the model's id for it.
MODEL_ID = "id"


def unique_id(call_id: str, used: Collection[str]) -> str:
    """Return the id, with a number appended if it is used."""
    candidates = (f"{call_id}-{n}" for n in count(2))
    return call_id if call_id not in used else next(c for c in candidates if c not in used)


def call_ids(messages: Iterable[ModelMessage]) -> set[str]:
    return {call.tool_call_id for call in _calls(messages)}


def model_ids(messages: Iterable[ModelMessage], provider: str) -> Mapping[str, str]:
    """Return the ids under which a provider's model has sent the calls, by the unique id."""
    return {
        call.tool_call_id: model_id
        for call in _calls(messages)
        if call.provider_name == provider
        and isinstance(model_id := _details(call).get(MODEL_ID), str)
        and model_id
    }


def _details(call: ToolCallPart) -> Mapping[str, Any]:
    return call.provider_details or {}


def _calls(messages: Iterable[ModelMessage]) -> Iterable[ToolCallPart]:
    for message in messages:
        if isinstance(message, ModelResponse):
            yield from (part for part in message.parts if isinstance(part, ToolCallPart))


def restore_model_ids(
    messages: list[ChatCompletionMessageParam], ids: Mapping[str, str]
) -> list[ChatCompletionMessageParam]:
    """Replace unique ids in a request's messages by the model's."""
    for message in messages if ids else ():
        if message["role"] == "assistant":
            for call in message.get("tool_calls") or ():
                call["id"] = ids.get(call["id"], call["id"])
        elif message["role"] == "tool":
            message["tool_call_id"] = ids.get(message["tool_call_id"], message["tool_call_id"])
    return messages
