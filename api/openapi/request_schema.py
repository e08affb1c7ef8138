"""What the API's document says of bodies with messages, which their routes read by themselves."""

from pydantic import BaseModel

from api.chat.request import ChatRequest
from api.openapi.component_schemas import TEMPLATE, Schema, components, reference, require_type
from api.routes.titles import TitleRequest

#: The `type` of each part of a message, which its model is chosen by and does not say.
_PART_TYPES: Schema = {
    "_Text": {"const": "text"},
    "_Reasoning": {"const": "reasoning"},
    "_File": {"const": "file"},
    "_StepStart": {"const": "step-start"},
    "_Tool": {"pattern": "^(tool-.+|dynamic-tool)$", "examples": ["tool-generateCard"]},
    "_Unknown": {"type": "string", "description": "Of a newer client: left out"},
    "InlineFile": {"const": "file", "description": "The AI SDK 4's, with `data` for a `url`"},
    "ToolInvocation": {"const": "tool-invocation"},
}
#: A class of parts that also stands elsewhere, and without a `type` there.
_INVOCATION = {"const": "tool-invocation", "description": "Where it is a part of a message"}

_EXAMPLES: Schema = {
    "plain": {
        "summary": "Plain messages",
        "value": {"messages": [{"role": "user", "content": "Hello"}]},
    },
    "ui": {
        "summary": "What useChat sends",
        "value": {
            "id": "trip",
            "trigger": "submit-message",
            "messages": [
                {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}
            ],
        },
    },
    "tools": {
        "summary": "With a display tool, of a model by name",
        "value": {
            "model": "openai/gpt-4o",
            "tools": ["generateChart"],
            "messages": [{"role": "user", "content": "Draw last year's rain"}],
        },
    },
}

#: For a route's `openapi_extra`.
CHAT_BODY: Schema = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": reference("ChatRequest"), "examples": _EXAMPLES}
        },
    }
}


def request_schemas() -> Schema:
    """The requests and the parts of messages, whose private names say nothing outside."""
    return {**_request(TitleRequest), **_request(ChatRequest)}


def _request(kind: type[BaseModel]) -> Schema:
    schema = kind.model_json_schema(by_alias=True, ref_template=TEMPLATE)
    for name, said in _PART_TYPES.items():
        require_type(schema["$defs"][name], said)
    schema["$defs"]["Invocation"]["properties"]["type"] = _INVOCATION
    return components(kind.__name__, schema, _part)


def _part(name: str) -> str:
    """`_Text` is `MessageText`."""
    return f"Message{name[1:]}" if name.startswith("_") else name
