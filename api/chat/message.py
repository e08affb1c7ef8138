"""A message of a chat, as clients send it: the AI SDK's from 4 to 7, and plain `content`.

What a newer client adds (keys, part types) is left out; what is known but wrong is refused with
the name of its field.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import AliasChoices, Discriminator, Field, Tag

from api.chat.ai_sdk_v4_parts import Attachment, InlineFile, Invocation, ToolInvocation
from api.http.body_model import FAIL_FAST, FileUrl, MediaType, Name, Nested, RequestModel, max_items
from shared.chat import messages as normalised
from shared.streams.tool_responses import DENIED, ToolResponse

#: Marks the tags of the unions below in an error's location: they are no part of the body.
TAG = "as:"


class _Text(RequestModel):
    text: str

    def normal(self) -> normalised.Part | None:
        return normalised.TextPart(text=self.text)


class _Reasoning(RequestModel):
    text: str = Field(validation_alias=AliasChoices("text", "reasoning"))

    def normal(self) -> normalised.Part | None:
        return normalised.ReasoningPart(text=self.text)


class _File(RequestModel):
    #: Empty where a browser knows none by the file's name.
    media_type: MediaType
    url: FileUrl
    filename: str | None = None

    def normal(self) -> normalised.FilePart:
        return normalised.FilePart(media_type=self.media_type, url=self.url, filename=self.filename)


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

    def normal(self) -> normalised.Part | None:
        """The call with its result; a call that has none says nothing to a model."""
        error = self._error()
        if self.state != "output-available" and error is None:
            return None
        return normalised.ToolPart(
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
            return (self.approval and self.approval.reason) or DENIED
        return None

    def answer(self) -> ToolResponse | None:
        """What the client says came of the call, or whether it may be made."""
        if self.state == "approval-responded":
            given = self.approval
            if given is None or given.approved is None:
                return None
            return ToolResponse(approved=given.approved, reason=given.reason)
        if self.state == "output-available":
            return ToolResponse(output=self.output)
        return ToolResponse(error=self._error()) if self.state == "output-error" else None


class _StepStart(RequestModel):
    def normal(self) -> normalised.Part | None:
        return normalised.StepStart()


class _Unknown(RequestModel):
    def normal(self) -> normalised.Part | None:
        return None


_KNOWN = ("text", "reasoning", "file", "step-start")


def _tag(part: Any) -> str:  # noqa: ANN401  (anything that JSON can hold)
    fields = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
    kind = fields.get("type")
    if not isinstance(kind, str):
        return ""
    if kind == "tool-invocation" and (earlier := _invocation_tag(fields)):
        return f"{TAG}{earlier}"
    if kind == "file" and "url" not in fields and "data" in fields:
        return f"{TAG}inline-file"
    if kind.startswith("tool-") or kind == "dynamic-tool":
        return f"{TAG}tool"
    return f"{TAG}{kind}" if kind in _KNOWN else f"{TAG}unknown"


def _invocation_tag(fields: dict[str, Any]) -> str | None:
    """Which shape of the AI SDK 4; None for a call of a tool that is named `invocation`."""
    if "toolInvocation" in fields:
        return "tool-invocation"
    return "invocation" if "toolName" in fields else None


_Part = Annotated[
    Annotated[_Text, Tag(f"{TAG}text")]
    | Annotated[_Reasoning, Tag(f"{TAG}reasoning")]
    | Annotated[_File, Tag(f"{TAG}file")]
    | Annotated[_StepStart, Tag(f"{TAG}step-start")]
    | Annotated[InlineFile, Tag(f"{TAG}inline-file")]
    | Annotated[_Tool, Tag(f"{TAG}tool")]
    | Annotated[Invocation, Tag(f"{TAG}invocation")]
    | Annotated[ToolInvocation, Tag(f"{TAG}tool-invocation")]
    | Annotated[_Unknown, Tag(f"{TAG}unknown")],
    Discriminator(
        _tag,
        custom_error_type="part_type",
        custom_error_message='A part is an object with a "type"',
    ),
]


_Parts = Annotated[list[_Part], FAIL_FAST, max_items("parts")]
_Content = Annotated[
    Annotated[str, Tag(f"{TAG}text")] | Annotated[_Parts, Tag(f"{TAG}parts")],
    Discriminator(lambda value: f"{TAG}parts" if isinstance(value, list) else f"{TAG}text"),
]


class Claim(NamedTuple):
    """What a client says of a call, and where in the message."""

    place: str
    call_id: str
    tool: str
    answer: ToolResponse


class UIMessage(RequestModel):
    """A message: the AI SDK's `parts`, or plain `content`; before 4.2, calls stood beside it."""

    id: str | None = None
    role: Literal["system", "user", "assistant"]
    content: _Content | None = None
    parts: _Parts | None = None
    tool_invocations: Annotated[list[Invocation], FAIL_FAST, max_items("parts")] | None = Field(
        default=None, description="The AI SDK 4's; left out where there are `parts`"
    )
    experimental_attachments: Annotated[list[Attachment], FAIL_FAST, max_items("parts")] | None = (
        Field(default=None, alias="experimental_attachments", description="The AI SDK 4's")
    )

    def tool_values(self) -> Iterator[object]:
        """The inputs and outputs of the message's tool calls."""
        for part in (*self._raw_parts(), *(self.tool_invocations or ())):
            call = part.tool_invocation if isinstance(part, ToolInvocation) else part
            if isinstance(call, _Tool):
                yield from (call.input, call.output)
            elif isinstance(call, Invocation):
                yield from (call.args, call.result)

    def files(self) -> Iterator[tuple[str, normalised.FilePart]]:
        """The files that a user sends, each with the path of its field."""
        if self.role != "user":
            return
        held = "parts" if self.parts else "content"
        named = {held: self._raw_parts(), "experimental_attachments": self._attachments()}
        for name, parts in named.items():
            for index, part in enumerate(parts):
                if isinstance(part, (_File, InlineFile, Attachment)):
                    yield f"{name}[{index}]", part.normal()

    def _attachments(self) -> Sequence[Attachment]:
        return self.experimental_attachments or ()

    def normal(self) -> normalised.Message:
        attached = (file.normal() for file in self._attachments())
        calls = () if self.parts else self._calls_beside()
        parts = (part.normal() for part in self._raw_parts())
        said = tuple(part for part in parts if part is not None)
        return normalised.Message(role=self.role, parts=(*attached, *calls, *said))

    @property
    def steps(self) -> int:
        return sum(isinstance(part, _StepStart) for part in self._raw_parts())

    def claims(self) -> Iterator["Claim"]:
        """The answers to the calls of the message's last step."""
        for place, call in self._last_calls():
            answer = call.answer()
            if answer is not None:
                yield Claim(place, call.tool_call_id, call.name, answer)

    def _last_calls(self) -> Iterator[tuple[str, _Tool | Invocation]]:
        parts = self._raw_parts()
        begins = [index for index, part in enumerate(parts) if isinstance(part, _StepStart)]
        for index, part in enumerate(parts):
            call = part.tool_invocation if isinstance(part, ToolInvocation) else part
            if index >= max(begins, default=0) and isinstance(call, _Tool | Invocation):
                yield f"parts[{index}]", call
        beside = () if self.parts else self.tool_invocations or ()
        last = max(map(_step, beside), default=0)
        for index, call in enumerate(beside):
            if call.step == last:
                yield f"toolInvocations[{index}]", call

    def _raw_parts(self) -> Sequence[_Part]:
        raw = self.parts or self.content or ()
        return [_Text(text=raw)] if isinstance(raw, str) else raw

    def _calls_beside(self) -> Iterator[normalised.Part]:
        """The calls that stand beside the text, step by step. It was said after them."""
        calls = sorted(self.tool_invocations or (), key=_step)
        for _, step in groupby(calls, key=_step):
            made = [part for call in step if (part := call.normal()) is not None]
            yield from (*made, normalised.StepStart()) if made else ()


def _step(call: Invocation) -> int:
    return call.step
