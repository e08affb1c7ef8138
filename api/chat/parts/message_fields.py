"""Converts the fields of messages of other APIs to those that `UIMessage` reads.

LangChain names roles differently and wraps messages. OpenAI, Ollama, and assistant-ui send texts,
calls and files beside the content, and OpenAI's Responses API sends calls and reasoning as messages
without a role. Fields that are not understood stay as they are, and are then refused.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

from api.chat.parts.json_values import as_text, fields_of, items_of

_Fields = dict[str, Any]

#: Roles by their names in other APIs: OpenAI, LangChain, Gemini, Cohere.
_ROLES = {
    "bot": "assistant",
    "chatbot": "assistant",
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
#: Reasoning beside the content: of DeepSeek and vLLM, OpenRouter, and Ollama.
_REASONING = ("reasoning_content", "reasoning", "thinking")


def convert_message(value: object, max_parts: int) -> object:
    """Return a message with the fields of `UIMessage`. Other values are returned unchanged.

    Of the parts in attachments, one more than `max_parts` is converted, so that it is refused.
    """
    if not isinstance(value, dict):
        return value
    fields = _unwrapped(cast("_Fields", value))
    role = _role_of(fields)
    if role == "data":  # the AI SDK 4: only for the client
        return {"role": "user", "id": fields.get("id")}
    if role == "tool":
        fields = _with_tool_result(fields)
    elif role == "assistant":
        fields = _with_function_call(_with_texts(_with_langchain_fields(fields)))
        fields = _without_repeated_calls(fields)
    if not fields.get("parts"):
        fields = _with_attached_parts(fields, max_parts)
    return {**fields, "role": role} if "role" in fields else fields


def attachment_paths(value: object, max_parts: int) -> list[str]:
    """Return the paths of the parts that `convert_message` collects from attachments."""
    return [path for path, _ in islice(_attached_parts(fields_of(value)), max_parts)]


def _role_of(fields: _Fields) -> object:
    """Return the role in the spelling of `UIMessage`."""
    role: object = fields.get("role")
    if not isinstance(role, str):
        return role
    name = role.strip().lower()
    return _ROLES.get(name, name)


def _unwrapped(fields: _Fields) -> _Fields:
    """Return the fields of a message of LangChain, which may be serialized, with a role."""
    kind: object = fields.get("type")
    inner: object = fields.get("data", fields)
    if kind == "constructor":
        kind, inner = _class_kind(fields.get("id")), fields.get("kwargs")
    if "role" not in fields and (item := _response_item(fields)) is not None:
        return item
    if "role" in fields or not isinstance(kind, str) or not isinstance(inner, dict):
        return fields
    return {"role": kind, **cast("_Fields", inner)} if kind in _TYPES else fields


def _response_item(fields: _Fields) -> _Fields | None:
    """Return the message for an item of OpenAI's Responses API that has no role."""
    match fields:
        case {"type": "function_call", "name": name}:
            arguments: object = fields.get("arguments")
            call = {"id": fields.get("call_id"), "function": {"name": name, "arguments": arguments}}
            return {"role": "assistant", "tool_calls": [call]}
        case {"type": "function_call_output"}:
            call_id: object = fields.get("call_id")
            return {"role": "tool", "tool_call_id": call_id, "content": fields.get("output")}
        case {"type": "reasoning"}:
            summary = as_text(items_of(fields.get("summary")))
            return {"role": "assistant", "reasoning_content": summary}
        case _:
            return None


def _class_kind(path: object) -> str | None:
    """Return `ai` for the path of the class `AIMessage` or `AIMessageChunk`."""
    names = items_of(path)
    return str(names[-1]).removesuffix("Chunk").removesuffix("Message").lower() if names else None


def _with_tool_result(fields: _Fields) -> _Fields:
    """Make the content of a tool message a part, as in the messages of the AI SDK."""
    content: object = fields.get("content")
    ids = {key: fields[key] for key in _CALL_IDS if key in fields}
    name: object = fields.get("tool_name") or fields.get("name")
    if not ids and isinstance(name, str):  # Ollama's calls and OpenAI's functions have no ids
        ids = {"tool_call_id": name}
    if isinstance(content, list) and not ids:
        return fields
    result: _Fields = {"type": "tool_result", "content": content, **ids}
    if fields.get("status") == "error":
        result["is_error"] = True
    return {**fields, "content": [result]}


def _with_texts(fields: _Fields) -> _Fields:
    """Add `refusal` and the reasoning to the content."""
    content: object = fields.get("content")
    reasoning = next((fields[name] for name in _REASONING if fields.get(name)), None)
    refusal = fields.get("refusal")
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
    kept = [*items_of(cast("object", calls))]
    known = {_id_of(call) for call in kept}
    for call in others:
        call_id = _id_of(call)
        if call_id is None or call_id not in known:
            kept.append(call)
            known.add(call_id)
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


def _with_attached_parts(fields: _Fields, max_parts: int) -> _Fields:
    """Replace attachments with the parts in them."""
    parts = [part for _, part in islice(_attached_parts(fields), max_parts + 1)]
    return {**fields, "attachments": parts} if parts else fields


def _attached_parts(fields: _Fields) -> Iterator[tuple[str, object]]:
    """Yield the parts of assistant-ui's attachments, and Ollama's and Open WebUI's files."""
    for index, attachment in enumerate(items_of(fields.get("attachments"))):
        yield from _parts_of(f"attachments[{index}]", attachment)
    if fields.get("attachments") or _role_of(fields) != "user":
        return
    for index, image in enumerate(items_of(fields.get("images"))):
        yield f"images[{index}]", {"type": "image", "image": image}
    for index, file in enumerate(items_of(fields.get("files"))):
        if fields_of(file).get("type") in ("file", "image"):
            yield f"files[{index}]", file


def _parts_of(path: str, attachment: object) -> Iterator[tuple[str, object]]:
    fields = fields_of(attachment)
    parts = items_of(fields.get("content"))
    if not parts:
        yield path, attachment
    for index, part in enumerate(parts):
        yield f"{path}.content[{index}]", _named(part, fields.get("name"))


def _named(part: object, name: object) -> object:
    return {"filename": name, **cast("_Fields", part)} if isinstance(part, dict) else part
