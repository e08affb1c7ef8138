"""Chat messages as clients send them: those of the AI SDK 4 to 7, and plain `content`.

Unknown keys and part types, for example of newer clients, are ignored. Invalid values of known
fields are rejected with the field's path.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import AliasChoices, Discriminator, Field, Tag

from api.chat.ai_sdk_v4_parts import Attachment, InlineFile, Invocation, ToolInvocation
from api.http.body_model import FAIL_FAST, FileUrl, MediaType, Name, Nested, RequestModel, max_items
from shared.chat import messages as chat_messages
from shared.streams.tool_responses import DENIED_TEXT, ToolResponse

#: Prefix of the union tags below. Error locations contain the tags, but they are not fields.
TAG_PREFIX = "as:"


class _Text(RequestModel):
    text: str

    def normalized(self) -> chat_messages.Part | None:
        return chat_messages.TextPart(text=self.text)


class _Reasoning(RequestModel):
    text: str = Field(validation_alias=AliasChoices("text", "reasoning"))

    def normalized(self) -> chat_messages.Part | None:
        return chat_messages.ReasoningPart(text=self.text)


class _File(RequestModel):
    #: Empty if the browser does not recognize the file extension.
    media_type: MediaType
    url: FileUrl
    filename: str | None = None

    def normalized(self) -> chat_messages.FilePart:
        return chat_messages.FilePart(
            media_type=self.media_type, url=self.url, filename=self.filename
        )


class _Approval(RequestModel):
    approved: bool | None = None
    reason: str | None = None


class _Tool(RequestModel):
    type: str
    tool_call_id: Name
    tool_name: Name | None = None
    state: str | None = None
    input: Nested = None
    output: Nested = None
    error_text: str | None = None
    approval: _Approval | None = None

    @property
    def name(self) -> str:
        return self.tool_name or self.type.removeprefix("tool-")

    def normalized(self) -> chat_messages.Part | None:
        """Return the call with its result; None without a result, which models do not accept."""
        error = self._error()
        if self.state != "output-available" and error is None:
            return None
        return chat_messages.ToolPart(
            tool_call_id=self.tool_call_id,
            tool_name=self.name,
            input=self.input if isinstance(cast("object", self.input), dict) else {},
            output=self.output,
            error_text=error,
        )

    def _error(self) -> str | None:
        if self.state == "output-error":
            return self.error_text or "The tool failed."
        denied = self.approval is not None and self.approval.approved is False
        if self.state == "output-denied" or denied:
            return (self.approval and self.approval.reason) or DENIED_TEXT
        return None

    def tool_response(self) -> ToolResponse | None:
        """Return the client's result or approval; None if the part holds neither."""
        if self.state == "approval-responded":
            approval = self.approval
            if approval is None or approval.approved is None:
                return None
            return ToolResponse(approved=approval.approved, reason=approval.reason)
        if self.state == "output-available":
            return ToolResponse(output=self.output)
        return ToolResponse(error=self._error()) if self.state == "output-error" else None


class _StepStart(RequestModel):
    def normalized(self) -> chat_messages.Part | None:
        return chat_messages.StepStart()


class _Unknown(RequestModel):
    def normalized(self) -> chat_messages.Part | None:
        return None


_SIMPLE_TYPES = ("text", "reasoning", "file", "step-start")


def _tag(part: Any) -> str:  # noqa: ANN401  (any JSON value)
    fields = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
    kind = fields.get("type")
    if not isinstance(kind, str):
        return ""
    if kind == "tool-invocation" and (invocation := _invocation_tag(fields)):
        return f"{TAG_PREFIX}{invocation}"
    if kind == "file" and "url" not in fields and "data" in fields:
        return f"{TAG_PREFIX}inline-file"
    if kind.startswith("tool-") or kind == "dynamic-tool":
        return f"{TAG_PREFIX}tool"
    return f"{TAG_PREFIX}{kind}" if kind in _SIMPLE_TYPES else f"{TAG_PREFIX}unknown"


def _invocation_tag(fields: dict[str, Any]) -> str | None:
    """Return the AI SDK 4 shape of the part; None for a call of a tool named `invocation`."""
    if "toolInvocation" in fields:
        return "tool-invocation"
    return "invocation" if "toolName" in fields else None


_Part = Annotated[
    Annotated[_Text, Tag(f"{TAG_PREFIX}text")]
    | Annotated[_Reasoning, Tag(f"{TAG_PREFIX}reasoning")]
    | Annotated[_File, Tag(f"{TAG_PREFIX}file")]
    | Annotated[_StepStart, Tag(f"{TAG_PREFIX}step-start")]
    | Annotated[InlineFile, Tag(f"{TAG_PREFIX}inline-file")]
    | Annotated[_Tool, Tag(f"{TAG_PREFIX}tool")]
    | Annotated[Invocation, Tag(f"{TAG_PREFIX}invocation")]
    | Annotated[ToolInvocation, Tag(f"{TAG_PREFIX}tool-invocation")]
    | Annotated[_Unknown, Tag(f"{TAG_PREFIX}unknown")],
    Discriminator(
        _tag,
        custom_error_type="part_type",
        custom_error_message='A part must be an object with a "type"',
    ),
]


_Parts = Annotated[list[_Part], FAIL_FAST, max_items("parts")]
_Content = Annotated[
    Annotated[str, Tag(f"{TAG_PREFIX}text")] | Annotated[_Parts, Tag(f"{TAG_PREFIX}parts")],
    Discriminator(
        lambda value: f"{TAG_PREFIX}parts" if isinstance(value, list) else f"{TAG_PREFIX}text"
    ),
]


class SubmittedToolResponse(NamedTuple):
    """A tool response, with its call and the path of its field."""

    field_path: str
    call_id: str
    tool_name: str
    response: ToolResponse


class UIMessage(RequestModel):
    """A message with the AI SDK's `parts`, or with plain `content`.

    Before version 4.2 of the AI SDK, tool calls were sent beside the content.
    """

    id: str | None = None
    role: Literal["system", "user", "assistant"]
    content: _Content | None = None
    parts: _Parts | None = None
    tool_invocations: Annotated[list[Invocation], FAIL_FAST, max_items("parts")] | None = Field(
        default=None, description="Tool calls of the AI SDK 4; ignored if `parts` is set"
    )
    experimental_attachments: Annotated[list[Attachment], FAIL_FAST, max_items("parts")] | None = (
        Field(default=None, alias="experimental_attachments", description="Files of the AI SDK 4")
    )

    def tool_values(self) -> Iterator[object]:
        """Yield the inputs and outputs of the message's tool calls."""
        for part in (*self._content_parts(), *(self.tool_invocations or ())):
            call = part.tool_invocation if isinstance(part, ToolInvocation) else part
            if isinstance(call, _Tool):
                yield from (call.input, call.output)
            elif isinstance(call, Invocation):
                yield from (call.args, call.result)

    def files(self) -> Iterator[tuple[str, chat_messages.FilePart]]:
        """Yield the files of a user's message, each with its field path."""
        if self.role != "user":
            return
        parts_field = "parts" if self.parts else "content"
        fields = {
            parts_field: self._content_parts(),
            "experimental_attachments": self._attachments(),
        }
        for field, parts in fields.items():
            for index, part in enumerate(parts):
                if isinstance(part, (_File, InlineFile, Attachment)):
                    yield f"{field}[{index}]", part.normalized()

    def _attachments(self) -> Sequence[Attachment]:
        return self.experimental_attachments or ()

    def normalized(self) -> chat_messages.Message:
        """Return the message in the form that workers receive."""
        files = (file.normalized() for file in self._attachments())
        calls = () if self.parts else self._calls_beside_content()
        converted = (part.normalized() for part in self._content_parts())
        parts = (part for part in converted if part is not None)
        return chat_messages.Message(role=self.role, parts=(*files, *calls, *parts))

    @property
    def steps(self) -> int:
        """The number of steps in the message."""
        return sum(isinstance(part, _StepStart) for part in self._content_parts())

    def tool_responses(self) -> Iterator[SubmittedToolResponse]:
        """Yield the client's responses to the tool calls of the last step."""
        for field_path, call in self._last_step_calls():
            response = call.tool_response()
            if response is not None:
                yield SubmittedToolResponse(field_path, call.tool_call_id, call.name, response)

    def _last_step_calls(self) -> Iterator[tuple[str, _Tool | Invocation]]:
        parts = self._content_parts()
        step_starts = [index for index, part in enumerate(parts) if isinstance(part, _StepStart)]
        for index, part in enumerate(parts):
            call = part.tool_invocation if isinstance(part, ToolInvocation) else part
            if index >= max(step_starts, default=0) and isinstance(call, _Tool | Invocation):
                yield f"parts[{index}]", call
        invocations = () if self.parts else self.tool_invocations or ()
        last_step = max(map(_step, invocations), default=0)
        for index, call in enumerate(invocations):
            if call.step == last_step:
                yield f"toolInvocations[{index}]", call

    def _content_parts(self) -> Sequence[_Part]:
        content = self.parts or self.content or ()
        return [_Text(text=content)] if isinstance(content, str) else content

    def _calls_beside_content(self) -> Iterator[chat_messages.Part]:
        """Yield the tool calls beside the content, step by step. They precede its text."""
        invocations = sorted(self.tool_invocations or (), key=_step)
        for _, step in groupby(invocations, key=_step):
            calls = [part for call in step if (part := call.normalized()) is not None]
            yield from (*calls, chat_messages.StepStart()) if calls else ()


def _step(call: Invocation) -> int:
    return call.step
