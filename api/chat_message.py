"""A message of a chat, as clients send it: the AI SDK's from 4 to 7, and plain `content`.

What a newer client adds (keys, part types) is left out; what is known but wrong is refused with
the name of its field.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationInfo,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from shared import data_url
from shared import messages as normalised
from shared.settings import LimitSettings

#: Marks the tags of the unions below in an error's location: they are no part of the body.
TAG = "as:"
#: Objects and lists within each other in a tool's input or output. The job that carries them to
#: the worker adds some, and JSON parsers give up at 200.
_MAX_DEPTH = 100
NESTING = (dict, list)

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


def at_most(limit: Literal["messages", "parts"]) -> BeforeValidator:
    """Refuse a longer list before any of it is read; the setting of this name says how long."""

    def check(value: object, info: ValidationInfo) -> object:
        limits = cast("LimitSettings", info.context) or LimitSettings()
        most: int = getattr(limits, limit)
        if _length(value) > most:
            raise PydanticCustomError("too_large", f"At most {most:,} {limit}.")  # pyright: ignore[reportArgumentType]  (a template without fields)
        return value

    return BeforeValidator(check)


def _length(value: object) -> int:
    return len(cast("list[object]", value)) if isinstance(value, list) else 0


def _shallow(value: object) -> object:
    if _deeper_than(_MAX_DEPTH, value):
        raise PydanticCustomError("too_deep", "Nested too deep.")
    return value


def _deeper_than(depth: int, value: object) -> bool:
    if type(value) not in NESTING:
        return False
    held = cast("dict[str, Any] | list[Any]", value)
    inner: Iterable[Any] = held.values() if isinstance(held, dict) else held
    # Most children are plain: a call for each of them would cost more than the parsing.
    nested = (child for child in inner if type(child) in NESTING)
    return not depth or any(_deeper_than(depth - 1, child) for child in nested)


def _readable(url: str) -> str:
    try:
        if url.startswith("data:"):
            data_url.content(url)
    except ValueError:
        raise PydanticCustomError("data_url", "A data: URL that cannot be decoded.") from None
    return url


def _base64(text: str) -> str:
    _readable(f"data:;base64,{text}")
    return text


FileUrl = Annotated[
    str, StringConstraints(pattern=r"^(data:|https?://)"), AfterValidator(_readable)
]
#: A body of millions of wrong items must not become millions of errors.
FAIL_FAST = Field(fail_fast=True)
_Nested = Annotated[Any, AfterValidator(_shallow)]


class Body(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=False, validate_by_alias=True, extra="ignore"
    )


class _Text(Body):
    text: str

    def normal(self) -> normalised.Part | None:
        return normalised.TextPart(text=self.text)


class _Reasoning(Body):
    text: str = Field(validation_alias=AliasChoices("text", "reasoning"))

    def normal(self) -> normalised.Part | None:
        return normalised.ReasoningPart(text=self.text)


class _File(Body):
    media_type: Name
    url: FileUrl
    filename: str | None = None

    def normal(self) -> normalised.Part | None:
        return normalised.FilePart(media_type=self.media_type, url=self.url, filename=self.filename)


class _InlineFile(Body):
    """A file of the AI SDK 4."""

    mime_type: Name
    data: Annotated[str, AfterValidator(_base64)]

    def normal(self) -> normalised.Part | None:
        url = f"data:{self.mime_type};base64,{self.data}"
        return normalised.FilePart(media_type=self.mime_type, url=url)


class _Attachment(Body):
    """What the AI SDK 4 puts beside a message's text."""

    url: FileUrl
    content_type: Name = "application/octet-stream"
    name: str | None = None

    def normal(self) -> normalised.Part:
        return normalised.FilePart(media_type=self.content_type, url=self.url, filename=self.name)


class _Approval(Body):
    approved: bool | None = None
    reason: str | None = None


class _Tool(Body):
    type: str
    tool_call_id: Name
    tool_name: Name | None = None
    state: str | None = None
    input: _Nested = None
    output: _Nested = None
    error_text: str | None = None
    approval: _Approval | None = None

    def normal(self) -> normalised.Part | None:
        """The call with its result; a call that has none says nothing to a model."""
        error = self._error()
        if self.state != "output-available" and error is None:
            return None
        return normalised.ToolPart(
            tool_call_id=self.tool_call_id,
            tool_name=self.tool_name or self.type.removeprefix("tool-"),
            input=self.input if isinstance(cast("object", self.input), dict) else {},
            output=self.output,
            error_text=error,
        )

    def _error(self) -> str | None:
        if self.state == "output-error":
            return self.error_text or "The tool failed."
        denied = self.approval is not None and self.approval.approved is False
        if self.state == "output-denied" or denied:
            return (self.approval and self.approval.reason) or "The user denied this call."
        return None


class _Invocation(Body):
    """A tool call of the AI SDK 4."""

    state: Literal["partial-call", "call", "result"]
    tool_call_id: Name
    tool_name: Name
    args: _Nested = None
    result: _Nested = None
    #: As the basic wire says it.
    is_error: bool | None = None
    step: int = 0

    def normal(self) -> normalised.Part | None:
        """The call with its result; a call that has none says nothing to a model."""
        if self.state != "result":
            return None
        error = self.result if isinstance(self.result, str) else "The tool failed."
        return normalised.ToolPart(
            tool_call_id=self.tool_call_id,
            tool_name=self.tool_name,
            input=self.args if isinstance(cast("object", self.args), dict) else {},
            output=None if self.is_error else self.result,
            error_text=error if self.is_error else None,
        )


class _ToolInvocation(Body):
    tool_invocation: _Invocation

    def normal(self) -> normalised.Part | None:
        return self.tool_invocation.normal()


class _StepStart(Body):
    def normal(self) -> normalised.Part | None:
        return normalised.StepStart()


class _Unknown(Body):
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
    | Annotated[_InlineFile, Tag(f"{TAG}inline-file")]
    | Annotated[_Tool, Tag(f"{TAG}tool")]
    | Annotated[_Invocation, Tag(f"{TAG}invocation")]
    | Annotated[_ToolInvocation, Tag(f"{TAG}tool-invocation")]
    | Annotated[_Unknown, Tag(f"{TAG}unknown")],
    Discriminator(
        _tag,
        custom_error_type="part_type",
        custom_error_message='A part is an object with a "type"',
    ),
]


_Parts = Annotated[list[_Part], FAIL_FAST, at_most("parts")]
_Content = Annotated[
    Annotated[str, Tag(f"{TAG}text")] | Annotated[_Parts, Tag(f"{TAG}parts")],
    Discriminator(lambda value: f"{TAG}parts" if isinstance(value, list) else f"{TAG}text"),
]


class UIMessage(Body):
    """A message: the AI SDK's `parts`, or plain `content`; before 4.2, calls stood beside it."""

    id: str | None = None
    role: Literal["system", "user", "assistant"]
    content: _Content | None = None
    parts: _Parts | None = None
    tool_invocations: Annotated[list[_Invocation], FAIL_FAST, at_most("parts")] | None = Field(
        default=None, description="The AI SDK 4's; left out where there are `parts`"
    )
    experimental_attachments: Annotated[list[_Attachment], FAIL_FAST, at_most("parts")] | None = (
        Field(default=None, alias="experimental_attachments", description="The AI SDK 4's")
    )

    def tool_values(self) -> Iterator[object]:
        """The inputs and outputs of the message's tool calls."""
        for part in (*self._raw_parts(), *(self.tool_invocations or ())):
            call = part.tool_invocation if isinstance(part, _ToolInvocation) else part
            if isinstance(call, _Tool):
                yield from (call.input, call.output)
            elif isinstance(call, _Invocation):
                yield from (call.args, call.result)

    def normal(self) -> normalised.Message:
        attached = (file.normal() for file in self.experimental_attachments or ())
        calls = () if self.parts else self._calls_beside()
        parts = (part.normal() for part in self._raw_parts())
        said = tuple(part for part in parts if part is not None)
        return normalised.Message(role=self.role, parts=(*attached, *calls, *said))

    def _raw_parts(self) -> Sequence[_Part]:
        raw = self.parts or self.content or ()
        return [_Text(text=raw)] if isinstance(raw, str) else raw

    def _calls_beside(self) -> Iterator[normalised.Part]:
        """The calls that stand beside the text, step by step. It was said after them."""
        calls = sorted(self.tool_invocations or (), key=_step)
        for _, step in groupby(calls, key=_step):
            made = [part for call in step if (part := call.normal()) is not None]
            yield from (*made, normalised.StepStart()) if made else ()


def _step(call: _Invocation) -> int:
    return call.step
