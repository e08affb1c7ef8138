"""The union of all parts. A part's `type`, and sometimes its fields, select the model."""

from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BeforeValidator, Discriminator, Tag

from api.chat.parts.ai_sdk import (
    OtherPart,
    UIFilePart,
    UIReasoningPart,
    UIStepStartPart,
    UITextPart,
    UIToolPart,
)
from api.chat.parts.ai_sdk_v4 import Attachment, Invocation, ToolInvocation
from api.chat.parts.model_messages import (
    ImagePart,
    InlineFile,
    InputAudio,
    InputFile,
    NestedFile,
    RefusalPart,
    SourceFile,
    UrlPart,
)
from api.chat.parts.separate_calls import FunctionCall, SeparateCall, SeparateResult
from api.chat.parts.untyped_parts import typed_part
from api.chat.parts.unusable import KEEP_FIELD_ERROR, KEEP_PART_ERROR, TAG_PREFIX
from api.http.body_model import FAIL_FAST, max_items

FILE_PARTS = (
    UIFilePart,
    Attachment,
    UrlPart,
    ImagePart,
    InlineFile,
    InputFile,
    NestedFile,
    InputAudio,
    SourceFile,
)
_TAGS = {
    **{kind: kind for kind in ("reasoning", "file", "step-start", "refusal", "image")},
    **dict.fromkeys(("text", "input_text", "output_text"), "text"),
    **dict.fromkeys(("image_url", "input_image", "input_file", "video_url", "audio_url"), "url"),
    "document": "source",
    "input_audio": "audio",
    "dynamic-tool": "tool",
    **dict.fromkeys(("tool-call", "tool_use", "tool_call"), "call"),
    **dict.fromkeys(("tool-result", "tool_result"), "result"),
    "tool-approval-request": "other",
    "tool-approval-response": "other",
}
#: Tags of the types that stand for several shapes.
_TAGS_BY_FIELD = {
    "tool-invocation": {"toolInvocation": "tool-invocation", "toolName": "invocation"},
    "file": {
        "url": "file",
        "file_data": "file-data",
        "file": "nested-file",
        "data": "inline-file",
        "base64": "inline-file",
    },
    "input_file": {"file_data": "file-data"},
    "image": {"source": "source"},
    # Parts of tools with these names. Only the AI SDK's UI messages have a state.
    "tool-call": {"state": "tool"},
    "tool-result": {"state": "tool"},
}
#: Types that clients show and models do not receive, besides `data-*` and `source-*`.
_CLIENT_TYPES = frozenset(
    {"source", "custom", "reasoning-file", "redacted-reasoning", "thinking", "redacted_thinking"}
)


def is_for_clients(part: OtherPart) -> bool:
    """Return whether a part of this type only concerns the client."""
    return part.type in _CLIENT_TYPES or part.type.startswith(("data-", "source-"))


def _tag(part: Any) -> str:  # noqa: ANN401  (any JSON value)
    fields = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
    kind = fields.get("type")
    return f"{TAG_PREFIX}{_name(kind, fields)}" if isinstance(kind, str) else ""


def _name(kind: str, fields: Mapping[str, Any]) -> str:
    """Return the tag. The first field in `_TAGS_BY_FIELD` that the part has decides."""
    by_field = _TAGS_BY_FIELD.get(kind, {})
    tag = next((tag for field, tag in by_field.items() if field in fields), None)
    return tag or _TAGS.get(kind) or ("tool" if kind.startswith("tool-") else "other")


Part = Annotated[
    Annotated[UITextPart, Tag(f"{TAG_PREFIX}text")]
    | Annotated[UIReasoningPart, Tag(f"{TAG_PREFIX}reasoning")]
    | Annotated[UIFilePart, Tag(f"{TAG_PREFIX}file")]
    | Annotated[UIStepStartPart, Tag(f"{TAG_PREFIX}step-start")]
    | Annotated[UIToolPart, Tag(f"{TAG_PREFIX}tool")]
    | Annotated[Invocation, Tag(f"{TAG_PREFIX}invocation")]
    | Annotated[ToolInvocation, Tag(f"{TAG_PREFIX}tool-invocation")]
    | Annotated[InlineFile, Tag(f"{TAG_PREFIX}inline-file")]
    | Annotated[ImagePart, Tag(f"{TAG_PREFIX}image")]
    | Annotated[UrlPart, Tag(f"{TAG_PREFIX}url")]
    | Annotated[InputFile, Tag(f"{TAG_PREFIX}file-data")]
    | Annotated[NestedFile, Tag(f"{TAG_PREFIX}nested-file")]
    | Annotated[InputAudio, Tag(f"{TAG_PREFIX}audio")]
    | Annotated[SourceFile, Tag(f"{TAG_PREFIX}source")]
    | Annotated[SeparateCall, Tag(f"{TAG_PREFIX}call")]
    | Annotated[SeparateResult, Tag(f"{TAG_PREFIX}result")]
    | Annotated[RefusalPart, Tag(f"{TAG_PREFIX}refusal")]
    | Annotated[OtherPart, Tag(f"{TAG_PREFIX}other")],
    Discriminator(
        _tag,
        custom_error_type="part_type",
        custom_error_message='A part must be an object with a "type"',
    ),
    KEEP_PART_ERROR,
]


def _with_types(value: object) -> object:
    if not isinstance(value, list):
        return value
    return [typed_part(part) for part in cast("list[object]", value)]


Parts = Annotated[
    list[Part],
    FAIL_FAST,
    BeforeValidator(_with_types),
    max_items("parts"),
    KEEP_FIELD_ERROR,
]
Invocations = Annotated[
    list[Annotated[Invocation, KEEP_PART_ERROR]], FAIL_FAST, max_items("parts"), KEEP_FIELD_ERROR
]
FunctionCalls = Annotated[
    list[Annotated[FunctionCall, AfterValidator(FunctionCall.as_separate), KEEP_PART_ERROR]],
    FAIL_FAST,
    max_items("parts"),
    KEEP_FIELD_ERROR,
]
Attachments = Annotated[
    list[Annotated[Attachment, KEEP_PART_ERROR]], FAIL_FAST, max_items("parts"), KEEP_FIELD_ERROR
]
