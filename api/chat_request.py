"""The body of `POST /chat`: what every AI SDK client from 5 to 7 sends, and plain messages.

What a newer client adds (keys, part types) is left out; what is known but wrong is refused with
the name of its field.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Literal, cast

from fastapi import Request
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    ValidationInfo,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from shared import data_url
from shared import messages as normalised
from shared.agents import AGENT_NAMES
from shared.errors import InvalidRequest, TooLarge
from shared.settings import LimitSettings
from shared.tools import DISPLAY_TOOL_NAMES

#: Marks the tags of the unions below in an error's location: they are no part of the body.
_TAG = "as:"
#: Objects and lists within each other in a tool's input or output. The job that carries them to
#: the worker adds some, and JSON parsers give up at 200.
_MAX_DEPTH = 100
_NESTING = (dict, list)
#: Counted in the raw body, before it is parsed: millions of them would hold up all streams.
_MAX_BRACKETS = 400_000
_BODY_SECONDS = 30

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


def _at_most(limit: Literal["messages", "parts"]) -> BeforeValidator:
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
    if type(value) not in _NESTING:
        return False
    held = cast("dict[str, Any] | list[Any]", value)
    inner: Iterable[Any] = held.values() if isinstance(held, dict) else held
    # Most children are plain: a call for each of them would cost more than the parsing.
    nested = (child for child in inner if type(child) in _NESTING)
    return not depth or any(_deeper_than(depth - 1, child) for child in nested)


def _readable(url: str) -> str:
    try:
        if url.startswith("data:"):
            data_url.content(url)
    except ValueError:
        raise PydanticCustomError("data_url", "A data: URL that cannot be decoded.") from None
    return url


#: A body of millions of wrong items must not become millions of errors.
_FAIL_FAST = Field(fail_fast=True)
_Nested = Annotated[Any, AfterValidator(_shallow)]


class _Body(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=False, validate_by_alias=True, extra="ignore"
    )


class _Text(_Body):
    text: str

    def normal(self) -> normalised.Part | None:
        return normalised.TextPart(text=self.text)


class _Reasoning(_Text):
    def normal(self) -> normalised.Part | None:
        return normalised.ReasoningPart(text=self.text)


class _File(_Body):
    media_type: Name
    url: Annotated[str, StringConstraints(pattern=r"^(data:|https?://)"), AfterValidator(_readable)]
    filename: str | None = None

    def normal(self) -> normalised.Part | None:
        return normalised.FilePart(media_type=self.media_type, url=self.url, filename=self.filename)


class _Approval(_Body):
    approved: bool | None = None
    reason: str | None = None


class _Tool(_Body):
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


class _StepStart(_Body):
    def normal(self) -> normalised.Part | None:
        return normalised.StepStart()


class _Unknown(_Body):
    def normal(self) -> normalised.Part | None:
        return None


_KNOWN = ("text", "reasoning", "file", "step-start")


def _tag(part: Any) -> str:  # noqa: ANN401  (anything that JSON can hold)
    kind = part.get("type") if isinstance(part, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(kind, str):
        return ""
    if kind.startswith("tool-") or kind == "dynamic-tool":
        return f"{_TAG}tool"
    return f"{_TAG}{kind}" if kind in _KNOWN else f"{_TAG}unknown"


_Part = Annotated[
    Annotated[_Text, Tag(f"{_TAG}text")]
    | Annotated[_Reasoning, Tag(f"{_TAG}reasoning")]
    | Annotated[_File, Tag(f"{_TAG}file")]
    | Annotated[_StepStart, Tag(f"{_TAG}step-start")]
    | Annotated[_Tool, Tag(f"{_TAG}tool")]
    | Annotated[_Unknown, Tag(f"{_TAG}unknown")],
    Discriminator(
        _tag,
        custom_error_type="part_type",
        custom_error_message='A part is an object with a "type"',
    ),
]


_Parts = Annotated[list[_Part], _FAIL_FAST, _at_most("parts")]
_Content = Annotated[
    Annotated[str, Tag(f"{_TAG}text")] | Annotated[_Parts, Tag(f"{_TAG}parts")],
    Discriminator(lambda value: f"{_TAG}parts" if isinstance(value, list) else f"{_TAG}text"),
]


class UIMessage(_Body):
    """A message: the AI SDK's `parts`, or plain `content`."""

    id: str | None = None
    role: Literal["system", "user", "assistant"]
    content: _Content | None = None
    parts: _Parts | None = None

    def tool_parts(self) -> Iterator[_Tool]:
        raw = self.parts if self.parts is not None else self.content
        return (part for part in raw or () if isinstance(part, _Tool))

    def normal(self) -> normalised.Message:
        raw = self.parts if self.parts is not None else self.content
        if isinstance(raw, str):
            return normalised.Message(role=self.role, parts=(normalised.TextPart(text=raw),))
        parts = (part.normal() for part in raw or ())
        return normalised.Message(role=self.role, parts=tuple(p for p in parts if p is not None))


class ChatRequest(_Body):
    id: str | None = Field(default=None, min_length=1, description="The chat's id")
    messages: Annotated[list[UIMessage], _FAIL_FAST, _at_most("messages")] = Field(
        min_length=1, description="The whole history, oldest first"
    )
    model: Name | None = Field(default=None, description="`provider/model`, or a bare name")
    agent: str | None = Field(default=None, description="Who answers; the ChatAgent by default")
    tools: Annotated[list[str], _FAIL_FAST] | None = Field(
        default=None, description="Display tools to enable, by name"
    )
    supersede: bool | None = Field(
        default=None, description="Stop the chat's live run, if there is one, and answer this"
    )

    def history(self) -> tuple[normalised.Message, ...]:
        """The messages in the one shape, without those that say nothing."""
        normal = (message.normal() for message in self.messages)
        return tuple(message for message in normal if message.parts)

    @property
    def continued_message_id(self) -> str | None:
        """The id of the assistant's message that this request goes on with."""
        last = self.messages[-1]
        return last.id if last.role == "assistant" else None


def _check_values(chat: ChatRequest, limits: LimitSettings) -> None:
    left = limits.values
    for index, message in enumerate(chat.messages):
        for part in message.tool_parts():
            left -= _count(part.input, left) + _count(part.output, left)
            if left < 0:
                field = f"messages[{index}]"
                raise TooLarge(
                    f"{field}: Tool inputs and outputs may hold {limits.values:,} values in all.",
                    field=field,
                )


def _count(value: object, most: int) -> int:
    """The values in a value, itself included; some number above `most` where there are more."""
    total, waiting = 0, [value]
    while waiting and total <= most:
        held = waiting.pop()
        total += 1
        if type(held) in _NESTING:
            nested = cast("dict[str, Any] | list[Any]", held)
            waiting.extend(nested.values() if isinstance(nested, dict) else nested)
    return total


async def read_chat_request(request: Request, limits: LimitSettings) -> ChatRequest:
    """Read and check the body.

    Raises:
        TooLarge: before a body over the limit is read whole.
        InvalidRequest: naming the first field that is wrong, and what would be right.
    """
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await _read_body(request, limits.body_bytes)
    except TimeoutError:
        raise InvalidRequest(f"The body did not arrive within {_BODY_SECONDS} seconds.") from None
    if body.count(b"{") + body.count(b"[") > _MAX_BRACKETS:
        raise TooLarge(f"The body holds more than {_MAX_BRACKETS:,} objects and lists.")
    try:
        chat = ChatRequest.model_validate_json(body, context=limits)
    except ValidationError as error:
        raise _refusal(error) from None
    for check in _CHECKS:
        check(chat, limits)
    return chat


async def _read_body(request: Request, limit: int) -> bytes:
    too_large = TooLarge(f"The body is larger than {limit:,} bytes.")
    if int(request.headers.get("content-length", "0") or 0) > limit:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def _refusal(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return InvalidRequest(f"The body is not valid JSON. {first['msg']}")
    field = _field(first["loc"])
    if field == "messages" and first["type"] == "missing":
        return InvalidRequest(
            "messages: Send the whole history; this server does not hold it.", field=field
        )
    kind = TooLarge if first["type"] == "too_large" else InvalidRequest
    return kind(f"{field or 'body'}: {first['msg']}", field=field or None)


def _field(location: tuple[int | str, ...]) -> str:
    """`messages[0].parts[1].text`."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not step.startswith(_TAG):
            path += f".{step}" if path else step
    return path


def _check_ids(chat: ChatRequest, limits: LimitSettings) -> None:
    _check_id("id", chat.id, limits)
    for index, message in enumerate(chat.messages):
        _check_id(f"messages[{index}].id", message.id, limits)


def _check_id(field: str, value: str | None, limits: LimitSettings) -> None:
    if value is not None and len(value) > limits.id_chars:
        raise InvalidRequest(f"{field}: At most {limits.id_chars} characters.", field=field)
    if value is not None and _CONTROL.search(value):
        # No URL's path can carry them: the chat could not be followed.
        raise InvalidRequest(f"{field}: Control characters are not allowed.", field=field)


def _check_names(chat: ChatRequest, limits: LimitSettings) -> None:  # noqa: ARG001
    if chat.agent is not None and chat.agent not in AGENT_NAMES:
        raise InvalidRequest(
            f"agent: There is no such agent. There are: {', '.join(AGENT_NAMES)}.", field="agent"
        )
    for index, name in enumerate(chat.tools or ()):
        if name not in DISPLAY_TOOL_NAMES:
            field = f"tools[{index}]"
            known = ", ".join(DISPLAY_TOOL_NAMES)
            raise InvalidRequest(
                f"{field}: There is no such tool. There are: {known}.", field=field
            )


def _check_last(chat: ChatRequest, limits: LimitSettings) -> None:  # noqa: ARG001
    if not chat.messages[-1].normal().parts:
        field = f"messages[{len(chat.messages) - 1}]"
        raise InvalidRequest(f"{field}: The last message says nothing.", field=field)


_CHECKS: tuple[Callable[[ChatRequest, LimitSettings], None], ...] = (
    _check_ids,
    _check_names,
    _check_values,
    _check_last,
)
