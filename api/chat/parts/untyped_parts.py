"""Gives parts of Gemini and of Amazon Bedrock a `type`. Their only field is their type.

Parts that are not understood stay as they are, and are then refused.
"""

from typing import Any

from api.chat.parts.json_values import fields_of, items_of

_Fields = dict[str, Any]


def typed_part(part: object) -> object:
    """Return a part with a type. LangChain sends texts as parts.

    Some clients of Gemini write the names of fields in snake case.
    """
    if isinstance(part, str):
        return {"type": "text", "text": part}
    fields = fields_of(part)
    if not fields or "type" in fields:
        return part
    if isinstance(text := fields.get("text"), str):
        return {"type": "reasoning" if fields.get("thought") is True else "text", "text": text}
    return _gemini_part({_camel(name): value for name, value in fields.items()}) or part


def _gemini_part(fields: _Fields) -> object:
    match fields:
        case {"inlineData": dict()}:
            return {"type": "file", **_file(fields_of(fields["inlineData"]))}
        case {"fileData": dict()}:
            return {"type": "file", **_file(fields_of(fields["fileData"]))}
        case {"functionCall": dict()}:
            call = fields_of(fields["functionCall"])
            return _call(call.get("id") or call.get("name"), call.get("name"), call.get("args"))
        case {"functionResponse": dict()}:
            result = fields_of(fields["functionResponse"])
            call_id = result.get("id") or result.get("name")
            return {"type": "tool_result", "tool_use_id": call_id, "result": result.get("response")}
        case _:
            return _bedrock_part(fields)


def _bedrock_part(fields: _Fields) -> object:
    match fields:
        case {"toolUse": dict()}:
            call = fields_of(fields["toolUse"])
            return _call(call.get("toolUseId"), call.get("name"), call.get("input"))
        case {"toolResult": dict()}:
            return _bedrock_result(fields_of(fields["toolResult"]))
        case {"image": dict()} | {"document": dict()}:
            return _bedrock_file(fields)
        case {"reasoningContent": dict()}:
            reasoning = fields_of(fields_of(fields["reasoningContent"]).get("reasoningText"))
            return {"type": "reasoning", "text": reasoning.get("text", "")}
        case {"cachePoint": dict()}:
            return {"type": "custom"}
        case _:
            return None


def _file(file: _Fields) -> _Fields:
    fields = {_camel(name): value for name, value in file.items()}
    source = {"url": fields["fileUri"]} if "fileUri" in fields else {"data": fields.get("data")}
    return {**source, "mediaType": fields.get("mimeType"), "filename": fields.get("displayName")}


def _call(call_id: object, name: object, arguments: object) -> _Fields:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def _bedrock_result(result: _Fields) -> _Fields:
    blocks = items_of(result.get("content"))
    values = [fields_of(block).get("json", block) for block in blocks]
    is_value = len(blocks) == 1 and "json" in fields_of(blocks[0])
    return {
        "type": "tool_result",
        "tool_use_id": result.get("toolUseId"),
        "content": values[0] if is_value else values,
        "is_error": result.get("status") == "error",
    }


def _bedrock_file(fields: _Fields) -> _Fields:
    kind = "image" if "image" in fields else "document"
    file = fields_of(fields[kind])
    name: object = file.get("format")
    media_type = {"pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown"}.get(
        str(name), f"{'image' if kind == 'image' else 'application'}/{name}"
    )
    data: object = fields_of(file.get("source")).get("bytes")
    return {"type": "file", "data": data, "mediaType": media_type, "filename": file.get("name")}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
