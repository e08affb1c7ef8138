"""Converts the fields of messages of other APIs to those that `UIMessage` reads.

LangChain names roles differently and wraps messages. OpenAI and assistant-ui send texts, calls and
files beside the content. Fields that are not understood stay as they are, and are then refused.
"""

from typing import Any, cast

from api.chat.parts.json_values import fields_of, items_of

_Fields = dict[str, Any]

#: Roles by their names in other APIs: OpenAI, LangChain, Gemini.
_ROLES = {
    "developer": "system",
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "function": "tool",
}
#: Types of LangChain's messages, which have no role.
_TYPES = frozenset({"human", "ai", "system", "tool", "function"})
#: Fields of OpenAI that LangChain leaves in `additional_kwargs`, besides the calls.
_OPENAI_FIELDS = ("function_call", "refusal", "reasoning_content")
_CALL_IDS = ("tool_call_id", "toolCallId")


def convert_message(value: object) -> object:
    """Return a message with the fields of `UIMessage`. Other values are returned unchanged."""
    if not isinstance(value, dict):
        return value
    fields = _unwrapped(cast("_Fields", value))
    sent: object = fields.get("role")
    role = _ROLES.get(sent, sent) if isinstance(sent, str) else sent
    if role == "data":  # the AI SDK 4: only for the client
        return {"role": "user", "id": fields.get("id")}
    if role == "tool":
        fields = _with_tool_result(fields)
    elif role == "assistant":
        fields = _with_function_call(_with_texts(_with_langchain_fields(fields)))
        fields = _without_repeated_calls(fields)
    if not fields.get("parts"):
        fields = _with_attached_parts(fields)
    return {**fields, "role": role} if "role" in fields else fields


def attachment_paths(value: object) -> list[str]:
    """Return the paths of the parts that `convert_message` collects from attachments."""
    attachments = items_of(fields_of(value).get("attachments"))
    return [
        path
        for index, attachment in enumerate(attachments)
        for path in _paths_of(f"attachments[{index}]", fields_of(attachment).get("content"))
    ]


def _paths_of(attachment: str, content: object) -> list[str]:
    parts = items_of(content)
    return [f"{attachment}.content[{index}]" for index in range(len(parts))] or [attachment]


def _unwrapped(fields: _Fields) -> _Fields:
    """Return the fields of a message of LangChain, which may be serialized, with a role."""
    kind: object = fields.get("type")
    inner: object = fields.get("data", fields)
    if kind == "constructor":
        kind, inner = _class_kind(fields.get("id")), fields.get("kwargs")
    if "role" in fields or not isinstance(kind, str) or not isinstance(inner, dict):
        return fields
    return {"role": kind, **cast("_Fields", inner)} if kind in _TYPES else fields


def _class_kind(path: object) -> str | None:
    """Return `ai` for the path of the class `AIMessage` or `AIMessageChunk`."""
    names = cast("list[object]", path) if isinstance(path, list) else []
    return str(names[-1]).removesuffix("Chunk").removesuffix("Message").lower() if names else None


def _with_tool_result(fields: _Fields) -> _Fields:
    """Make the content of a tool message a part, as in the messages of the AI SDK."""
    content: object = fields.get("content")
    ids = {key: fields[key] for key in _CALL_IDS if key in fields}
    if not ids and fields["role"] == "function":  # its calls had no ids
        ids = {"tool_call_id": fields.get("name")}
    if isinstance(content, list) and not ids:
        return fields
    result: _Fields = {"type": "tool_result", "content": content, **ids}
    if fields.get("status") == "error":
        result["is_error"] = True
    return {**fields, "content": [result]}


def _with_texts(fields: _Fields) -> _Fields:
    """Add `refusal` and `reasoning_content` to the content."""
    content: object = fields.get("content")
    reasoning, refusal = fields.get("reasoning_content"), fields.get("refusal")
    added: list[object] = []
    if refusal and not content:
        added.append({"type": "refusal", "refusal": refusal})
    if isinstance(reasoning, str) and reasoning:
        added.append({"type": "reasoning", "text": reasoning})
    if not added or not isinstance(content, str | list | None):
        return fields
    text = [{"type": "text", "text": content}] if isinstance(content, str) else []
    parts = cast("list[object]", content) if isinstance(content, list) else text
    return {**fields, "content": [*parts, *added]}


def _with_function_call(fields: _Fields) -> _Fields:
    """Convert OpenAI's `function_call`. Its result refers to the name of the function."""
    function: object = fields.get("function_call")
    if not isinstance(function, dict) or fields.get("tool_calls"):
        return fields
    call = cast("_Fields", function)
    return {**fields, "tool_calls": [{"id": call.get("name"), "function": call}]}


def _with_langchain_fields(fields: _Fields) -> _Fields:
    """Add what LangChain keeps beside the fields that it parsed: OpenAI's own, and broken calls."""
    original = fields_of(fields.get("additional_kwargs"))
    added = {name: original[name] for name in _OPENAI_FIELDS if original.get(name)}
    others = [*items_of(fields.get("invalid_tool_calls")), *items_of(original.get("tool_calls"))]
    calls: object = fields.get("tool_calls")
    if not others or not isinstance(calls, list | None):
        return {**added, **fields}
    kept = cast("list[object]", calls or [])
    known = {_id_of(call) for call in kept} - {None}
    for call in others:
        if _id_of(call) not in known:
            kept = [*kept, call]
            known |= {_id_of(call)} - {None}
    return {**added, **fields, "tool_calls": kept}


def _without_repeated_calls(fields: _Fields) -> _Fields:
    """Remove calls that the content has too, as in LangChain's messages of Anthropic models."""
    content: object = fields.get("content")
    calls: object = fields.get("tool_calls")
    if not isinstance(content, list) or not isinstance(calls, list):
        return fields
    kinds = ("tool_use", "tool_call")
    blocks = [fields_of(item) for item in cast("list[object]", content)]
    known = {_id_of(block) for block in blocks if block.get("type") in kinds} - {None}
    rest = [call for call in cast("list[object]", calls) if _id_of(call) not in known]
    return {**fields, "tool_calls": rest}


def _id_of(call: object) -> str | None:
    """Return the id of a call; None if it has none."""
    value: object = fields_of(call).get("id")
    return value if isinstance(value, str) and value else None


def _with_attached_parts(fields: _Fields) -> _Fields:
    """Replace assistant-ui's attachments with the parts in them."""
    attachments: object = fields.get("attachments")
    if not isinstance(attachments, list):
        return fields
    parts = [part for item in cast("list[object]", attachments) for part in _parts_of(item)]
    return {**fields, "attachments": parts}


def _parts_of(attachment: object) -> list[object]:
    fields = fields_of(attachment)
    parts: object = fields.get("content")
    if not isinstance(parts, list) or not parts:
        return [attachment]
    return [_named(part, fields.get("name")) for part in cast("list[object]", parts)]


def _named(part: object, name: object) -> object:
    return {"filename": name, **cast("_Fields", part)} if isinstance(part, dict) else part
