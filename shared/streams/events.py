"""The events of a run: the chunks of the AI SDK's UI message stream.

This is the default stream format. Every `ai` package from 5.0.100 to 7 accepts it: it has no key
or type that an older client rejects, and no `null` for an optional key. The two approval events
require `ai` 6; a stream contains them only if its client declared that it supports them. The rules
come from the `UIMessageChunk` schema in the `ai` package.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    TypeAdapter,
    model_serializer,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticSerializationError, to_json

from shared.surrogates import replace_lone_surrogates

FinishReason = Literal["stop", "length", "content-filter", "tool-calls", "error", "other"]

#: What a provider attached to a part, by name. Every client stores it in its message, and sends it
#: with the next request. Only the events that have it accept it in all clients.
ProviderMetadata = dict[str, dict[str, Any]]

#: The last entry of a stream, after its terminal event. The protocol defines it; it is not JSON.
DONE = b"[DONE]"


class Event(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True, frozen=True
    )

    def encode(self) -> bytes:
        """Return the event as JSON without newlines.

        A lone surrogate, which a model may send and UTF-8 cannot encode, becomes U+FFFD.
        """
        try:
            return self.__pydantic_serializer__.to_json(self, exclude_none=True)
        except PydanticSerializationError:
            fields = self.model_dump(exclude_none=True)
            return to_json(replace_lone_surrogates(fields), inf_nan_mode="null")


class NullableEvent(Event):
    """An event with a required key that may be `null`."""

    @model_serializer(mode="wrap")
    def _keep_null(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        for key in ("input", "output", "data", "args", "result"):
            if key in type(self).model_fields:
                fields.setdefault(key, None)
        return fields


class Start(Event):
    type: Literal["start"] = "start"
    message_id: str
    message_metadata: dict[str, Any] | None = None


class StartStep(Event):
    type: Literal["start-step"] = "start-step"


class FinishStep(Event):
    type: Literal["finish-step"] = "finish-step"


class TextStart(Event):
    type: Literal["text-start"] = "text-start"
    id: str


class TextDelta(Event):
    type: Literal["text-delta"] = "text-delta"
    id: str
    delta: str


class TextEnd(Event):
    type: Literal["text-end"] = "text-end"
    id: str
    provider_metadata: ProviderMetadata | None = None


class ReasoningStart(Event):
    type: Literal["reasoning-start"] = "reasoning-start"
    id: str


class ReasoningDelta(Event):
    type: Literal["reasoning-delta"] = "reasoning-delta"
    id: str
    delta: str


class ReasoningEnd(Event):
    type: Literal["reasoning-end"] = "reasoning-end"
    id: str
    provider_metadata: ProviderMetadata | None = None


class ToolInputStart(Event):
    type: Literal["tool-input-start"] = "tool-input-start"
    tool_call_id: str
    tool_name: str


class ToolInputDelta(Event):
    type: Literal["tool-input-delta"] = "tool-input-delta"
    tool_call_id: str
    input_text_delta: str


class ToolInputAvailable(NullableEvent):
    type: Literal["tool-input-available"] = "tool-input-available"
    tool_call_id: str
    tool_name: str
    input: Any
    provider_metadata: ProviderMetadata | None = None


class ToolInputError(NullableEvent):
    type: Literal["tool-input-error"] = "tool-input-error"
    tool_call_id: str
    tool_name: str
    input: Any
    error_text: str
    provider_metadata: ProviderMetadata | None = None


class ToolOutputAvailable(NullableEvent):
    type: Literal["tool-output-available"] = "tool-output-available"
    tool_call_id: str
    output: Any


class ToolOutputError(Event):
    type: Literal["tool-output-error"] = "tool-output-error"
    tool_call_id: str
    error_text: str


class ToolApprovalRequest(Event):
    """Asks the user to approve a call. Requires `ai` 6."""

    type: Literal["tool-approval-request"] = "tool-approval-request"
    approval_id: str
    tool_call_id: str


class ToolOutputDenied(Event):
    """The user denied the call. Requires `ai` 6."""

    type: Literal["tool-output-denied"] = "tool-output-denied"
    tool_call_id: str


class SourceUrl(Event):
    type: Literal["source-url"] = "source-url"
    source_id: str
    url: str
    title: str | None = None


class SourceDocument(Event):
    type: Literal["source-document"] = "source-document"
    source_id: str
    media_type: str
    title: str
    filename: str | None = None


class File(Event):
    type: Literal["file"] = "file"
    url: str
    media_type: str


class Data(NullableEvent):
    """An extension event, `data-NAME`. A transient one reaches only the client's `onData`."""

    type: str = Field(pattern=r"^data-.")
    data: Any
    id: str | None = None
    transient: bool | None = None


class MessageMetadata(Event):
    type: Literal["message-metadata"] = "message-metadata"
    message_metadata: dict[str, Any]


class Error(Event):
    type: Literal["error"] = "error"
    error_text: str


class Abort(Event):
    """The answer was stopped. Has no `reason`, because older clients throw on it."""

    type: Literal["abort"] = "abort"


class Finish(Event):
    type: Literal["finish"] = "finish"
    finish_reason: FinishReason | None = None
    message_metadata: dict[str, Any] | None = None


def _tag(event: Event | dict[str, Any]) -> str:
    kind = str(event.get("type") if isinstance(event, dict) else getattr(event, "type", None))
    return "data" if kind.startswith("data-") else kind


StreamEvent = Annotated[
    Annotated[Start, Tag("start")]
    | Annotated[StartStep, Tag("start-step")]
    | Annotated[FinishStep, Tag("finish-step")]
    | Annotated[TextStart, Tag("text-start")]
    | Annotated[TextDelta, Tag("text-delta")]
    | Annotated[TextEnd, Tag("text-end")]
    | Annotated[ReasoningStart, Tag("reasoning-start")]
    | Annotated[ReasoningDelta, Tag("reasoning-delta")]
    | Annotated[ReasoningEnd, Tag("reasoning-end")]
    | Annotated[ToolInputStart, Tag("tool-input-start")]
    | Annotated[ToolInputDelta, Tag("tool-input-delta")]
    | Annotated[ToolInputAvailable, Tag("tool-input-available")]
    | Annotated[ToolInputError, Tag("tool-input-error")]
    | Annotated[ToolOutputAvailable, Tag("tool-output-available")]
    | Annotated[ToolOutputError, Tag("tool-output-error")]
    | Annotated[ToolApprovalRequest, Tag("tool-approval-request")]
    | Annotated[ToolOutputDenied, Tag("tool-output-denied")]
    | Annotated[SourceUrl, Tag("source-url")]
    | Annotated[SourceDocument, Tag("source-document")]
    | Annotated[File, Tag("file")]
    | Annotated[Data, Tag("data")]
    | Annotated[MessageMetadata, Tag("message-metadata")]
    | Annotated[Error, Tag("error")]
    | Annotated[Abort, Tag("abort")]
    | Annotated[Finish, Tag("finish")],
    Discriminator(_tag),
]

#: Events that a tool may emit with its result.
ToolExtra = SourceUrl | SourceDocument | File | Data

_adapter: TypeAdapter[StreamEvent] = TypeAdapter(StreamEvent)


def decode(data: bytes) -> StreamEvent:
    """Parse one event from its JSON.

    Raises:
        pydantic.ValidationError: if it is not an event of the default stream format.
    """
    return _adapter.validate_json(data)


def merge_deltas(first: StreamEvent, second: StreamEvent) -> StreamEvent | None:
    """Merge two successive deltas of one part; None if they cannot be merged."""
    match first, second:
        case TextDelta(id=a, delta=head), TextDelta(id=b, delta=tail) if a == b:
            return TextDelta(id=a, delta=head + tail)
        case ReasoningDelta(id=a, delta=head), ReasoningDelta(id=b, delta=tail) if a == b:
            return ReasoningDelta(id=a, delta=head + tail)
        case (
            ToolInputDelta(tool_call_id=a, input_text_delta=head),
            ToolInputDelta(tool_call_id=b, input_text_delta=tail),
        ) if a == b:
            return ToolInputDelta(tool_call_id=a, input_text_delta=head + tail)
        case _:
            return None
