"""The body of `POST /chat`: read within its limits, and checked.

What is wrong is refused with the name of its field, and what would be right.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar, cast

from fastapi import Request
from pydantic import BaseModel, Field, ValidationError, WithJsonSchema

from api.chat.client_tool import MOST, ClientTool
from api.chat.files import check_count, check_file
from api.chat.ids import ID_PATTERN, check_chat_id, check_id
from api.chat.message import TAG, Claim, UIMessage
from api.http.body_model import CONTAINER_TYPES, FAIL_FAST, Name, RequestModel, max_items
from shared.agents.card import BUILT_IN
from shared.agents.tools import DISPLAY_TOOL_NAMES
from shared.chat import messages as normalised
from shared.errors import InvalidRequest, TooLarge
from shared.field_path import format_field_path
from shared.settings import LimitSettings

#: Counted in the raw body, before it is parsed: millions of them would hold up all streams.
_MAX_BRACKETS = 200_000
#: Bytes of a body that is read in a thread, a few milliseconds at a time: others stream meanwhile.
_LARGE = 65_536
_BODY_SECONDS = 30


_Kind = TypeVar("_Kind", bound=BaseModel)
#: The document says which there are; another one is refused further on, in words.
_ToolName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(DISPLAY_TOOL_NAMES)})]


class ChatRequest(RequestModel):
    id: str | None = Field(
        default=None,
        min_length=1,
        description="The chat's id",
        json_schema_extra={"pattern": ID_PATTERN},
    )
    messages: Annotated[list[UIMessage], FAIL_FAST, max_items("messages")] = Field(
        min_length=1, description="The whole history, oldest first"
    )
    model: Name | None = Field(default=None, description="`provider/model`, or a bare name")
    agent: Name | None = Field(
        default=None,
        description="Who answers, as `GET /agents` names it; the ChatAgent by default",
        examples=[agent.name for agent in BUILT_IN],
    )
    tools: Annotated[list[_ToolName], FAIL_FAST] | None = Field(
        default=None,
        description="Display tools to enable, by name; ignored by agents that take none",
    )
    client_tools: Annotated[list[ClientTool], FAIL_FAST] | None = Field(
        default=None,
        max_length=MOST,
        description="Tools of the client: it makes their calls, and sends the results",
    )
    sdk_version: int | None = Field(
        default=None,
        ge=4,
        le=99,
        description="The AI SDK's major version. From 6 on a call can be put before the user; by"
        " default it cannot, and what needs approval is denied",
    )
    supersede: bool | None = Field(
        default=None, description="Stop the chat's live run, if there is one, and answer this"
    )

    def display_tools(self) -> tuple[str, ...]:
        """Those that it names, once each.

        Raises:
            InvalidRequest: if there is none of such a name.
        """
        for index, name in enumerate(self.tools or ()):
            if name not in DISPLAY_TOOL_NAMES:
                field = f"tools[{index}]"
                known = ", ".join(DISPLAY_TOOL_NAMES)
                raise InvalidRequest(
                    f"{field}: There is no such tool. There are: {known}.", field=field
                )
        return tuple(dict.fromkeys(self.tools or ()))

    def history(self) -> tuple[normalised.Message, ...]:
        """The messages in the one shape, without those that say nothing."""
        normal = (message.normal() for message in self.messages)
        return tuple(message for message in normal if message.parts)

    def history_before(self, steps: int) -> tuple[normalised.Message, ...]:
        """What stands before the last `steps` steps of the last message, an assistant's."""
        *_, last = self.messages
        kept = last.steps - steps
        parts: list[normalised.Part] = []
        for part in last.normal().parts:
            kept -= isinstance(part, normalised.StepStart)
            if kept < 0:
                break
            parts.append(part)
        normal = [message.normal() for message in self.messages[:-1]]
        normal.append(normalised.Message(role="assistant", parts=tuple(parts)))
        return tuple(message for message in normal if message.parts)

    @property
    def asks(self) -> bool:
        """Whether the client can put a call before its user."""
        return (self.sdk_version or 0) >= 6

    def claims(self) -> list[Claim]:
        """The answers in the last message, if it is the assistant's: to calls of its last step."""
        last = self.messages[-1]
        if last.role != "assistant":
            return []
        field = f"messages[{len(self.messages) - 1}]"
        return [claim._replace(place=f"{field}.{claim.place}") for claim in last.claims()]

    @property
    def continued_message_id(self) -> str | None:
        """The id of the assistant's message that this request goes on with."""
        last = self.messages[-1]
        return last.id if last.role == "assistant" else None


def _check_values(chat: ChatRequest, limits: LimitSettings) -> None:
    left = limits.values
    for index, message in enumerate(chat.messages):
        for value in message.tool_values():
            left -= _count(value, left)
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
        if type(held) in CONTAINER_TYPES:
            nested = cast("dict[str, Any] | list[Any]", held)
            waiting.extend(nested.values() if isinstance(nested, dict) else nested)
    return total


async def read_chat_request(request: Request, limits: LimitSettings) -> ChatRequest:
    """Read and check the body; raises as `read_body_of` does."""
    return await read_body_of(ChatRequest, request, limits, *_CHECKS)


async def read_body_of(
    kind: type[_Kind],
    request: Request,
    limits: LimitSettings,
    *checks: Callable[[_Kind, LimitSettings], None],
) -> _Kind:
    """Read the body, as what it should be, and check that.

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
    if len(body) < _LARGE:
        return _understood(kind, body, limits, checks)
    return await asyncio.to_thread(_understood, kind, body, limits, checks)


def _understood(
    kind: type[_Kind],
    body: bytes,
    limits: LimitSettings,
    checks: Iterable[Callable[[_Kind, LimitSettings], None]],
) -> _Kind:
    try:
        understood = kind.model_validate_json(body, context=limits)
    except ValidationError as error:
        raise _refusal(error) from None
    for check in checks:
        check(understood, limits)
    return understood


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
    field = format_field_path(step for step in first["loc"] if not str(step).startswith(TAG))
    if field == "messages" and first["type"] == "missing":
        return InvalidRequest(
            "messages: Field required. Send the whole history, the newest message last:"
            " this server does not hold it.",
            field=field,
        )
    kind = TooLarge if first["type"] == "too_large" else InvalidRequest
    return kind(f"{field or 'body'}: {first['msg']}", field=field or None)


def _check_ids(chat: ChatRequest, limits: LimitSettings) -> None:
    check_chat_id("id", chat.id, limits)
    for index, message in enumerate(chat.messages):
        check_id(f"messages[{index}].id", message.id, limits)


def _check_client_tools(chat: ChatRequest, limits: LimitSettings) -> None:  # noqa: ARG001
    names: set[str] = set()
    for index, tool in enumerate(chat.client_tools or ()):
        if tool.name in names:
            field = f"clientTools[{index}].name"
            raise InvalidRequest(f"{field}: There are two of this name.", field=field)
        names.add(tool.name)


def _check_files(chat: ChatRequest, limits: LimitSettings) -> None:
    for index, message in enumerate(chat.messages):
        files = list(message.files())
        check_count(len(files), f"messages[{index}]", limits)
        for path, part in files:
            check_file(part, f"messages[{index}].{path}", limits)


def _check_last(chat: ChatRequest, limits: LimitSettings) -> None:  # noqa: ARG001
    if not chat.messages[-1].normal().parts and not chat.claims():
        field = f"messages[{len(chat.messages) - 1}]"
        raise InvalidRequest(f"{field}: The last message says nothing.", field=field)


_CHECKS: tuple[Callable[[ChatRequest, LimitSettings], None], ...] = (
    _check_ids,
    _check_client_tools,
    _check_values,
    _check_files,
    _check_last,
)
