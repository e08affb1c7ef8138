"""OpenAPI schemas of bodies with messages, whose routes parse the raw body without FastAPI."""

from pydantic import BaseModel

from api.chat.request import ChatRequest
from api.openapi.component_schemas import REF_TEMPLATE, Schema, components, reference, require_type
from api.routes.titles import TitleRequest

#: The `type` of each message part. It selects the model, which does not declare it.
_PART_TYPES: Schema = {
    "UITextPart": {"enum": ["text", "input_text", "output_text"]},
    "UIReasoningPart": {"const": "reasoning"},
    "UIFilePart": {"const": "file"},
    "UIStepStartPart": {"const": "step-start"},
    "UIToolPart": {"pattern": "^(tool-.+|dynamic-tool)$", "examples": ["tool-generateCard"]},
    "OtherPart": {"description": "A part for the client, such as `data-weather`; models ignore it"},
    "ToolInvocation": {"const": "tool-invocation"},
    "InlineFile": {"const": "file", "description": "A file with `data` instead of `url`"},
    "ImagePart": {"const": "image"},
    "UrlPart": {"enum": ["image_url", "input_image", "input_file", "video_url", "audio_url"]},
    "InputFile": {"enum": ["input_file", "file"]},
    "NestedFile": {"const": "file"},
    "InputAudio": {"const": "input_audio"},
    "SourceFile": {"enum": ["image", "document"]},
    "SeparateCall": {"enum": ["tool-call", "tool_use"]},
    "SeparateResult": {"enum": ["tool-result", "tool_result"]},
    "RefusalPart": {"const": "refusal"},
}
#: This class is also used outside of parts, where it has no `type`.
_INVOCATION = {
    "const": "tool-invocation",
    "description": "Required in a message part",
}

_EXAMPLES: Schema = {
    "plain": {
        "summary": "Plain messages",
        "value": {"messages": [{"role": "user", "content": "Hello"}]},
    },
    "ui": {
        "summary": "A request of `useChat`",
        "value": {
            "id": "trip",
            "trigger": "submit-message",
            "messages": [
                {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}
            ],
        },
    },
    "tools": {
        "summary": "A named model with a display tool",
        "value": {
            "model": "openai/gpt-4o",
            "tools": ["generateChart"],
            "messages": [{"role": "user", "content": "Draw last year's rain"}],
        },
    },
}

#: The `openapi_extra` of a route.
CHAT_BODY: Schema = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": reference("ChatRequest"), "examples": _EXAMPLES}
        },
    }
}


def request_schemas() -> Schema:
    """Return the schemas of the requests and their message parts."""
    return {**_request(TitleRequest), **_request(ChatRequest)}


def _request(model: type[BaseModel]) -> Schema:
    schema = model.model_json_schema(by_alias=True, ref_template=REF_TEMPLATE)
    for name, type_schema in _PART_TYPES.items():
        require_type(schema["$defs"][name], type_schema)
    schema["$defs"]["Invocation"]["properties"]["type"] = _INVOCATION
    return components(model.__name__, schema, _component_name)


def _component_name(name: str) -> str:
    """Return `MessageTextPart` for `UITextPart`: stream events have components of similar names."""
    return f"Message{name}" if name.endswith("Part") else name
