"""Reading a chat request, with the checks that depend on settings or on several fields."""

import re
from collections.abc import Callable
from typing import Any, cast

import structlog
from fastapi import Request

from api.chat.body_reader import read_body
from api.chat.client_tool import MAX_CLIENT_TOOLS, TOOL_NAME
from api.chat.history_repair import add_results_to_calls, replace_misplaced_parts
from api.chat.ids import check_chat_id, check_id
from api.chat.parts.ai_sdk import UIToolPart
from api.chat.parts.ai_sdk_v4 import Invocation, ToolInvocation
from api.chat.parts.file_limits import file_error
from api.chat.parts.separate_calls import SeparateCall, SeparateResult
from api.chat.parts.unusable import UnusablePart
from api.chat.request import ChatRequest
from api.http.body_model import CONTAINER_TYPES
from shared.chat.messages import FilePart, ReasoningPart, StepStart
from shared.errors import InvalidRequest
from shared.settings import LimitSettings

log = structlog.stdlib.get_logger()


async def read_chat_request(request: Request, limits: LimitSettings) -> ChatRequest:
    """Read, parse and check the body. Raises the errors of `read_body`."""
    chat = await read_body(ChatRequest, request, limits, *_CHECKS)
    unusable = [part for message in chat.messages for part in message.unusable_parts()]
    if unusable:
        log.info(
            "chat.parts_left_out",
            message="Parts of older messages were left out",
            parts=len(unusable),
            codes=sorted({part.code for part in unusable}),
        )
    return chat


def _check_ids(chat: ChatRequest, limits: LimitSettings) -> None:
    check_chat_id("id", chat.id, limits)
    check_id(f"{chat.messages[-1].path}.id", chat.continued_message_id, limits)


def _check_client_tool_names(chat: ChatRequest, limits: LimitSettings) -> None:  # noqa: ARG001
    names: set[str] = set()
    for field, tool in chat.located_client_tools():
        if not re.fullmatch(TOOL_NAME, tool.name):
            raise InvalidRequest(
                f"{field}: The name of a tool has 1 to 64 letters, digits, `_`, and `-`.",
                field=field,
            )
        if tool.name in names:
            raise InvalidRequest(f"{field}: Another tool has the same name.", field=field)
        names.add(tool.name)
    if len(names) > MAX_CLIENT_TOOLS:
        raise InvalidRequest(f"tools: At most {MAX_CLIENT_TOOLS} client tools.", field="tools")


def _add_other_spellings(chat: ChatRequest, limits: LimitSettings) -> None:  # noqa: ARG001
    chat.add_other_spellings()


def _add_results_to_calls(chat: ChatRequest, limits: LimitSettings) -> None:  # noqa: ARG001
    add_results_to_calls(chat.messages)


def _replace_misplaced_parts(chat: ChatRequest, limits: LimitSettings) -> None:  # noqa: ARG001
    replace_misplaced_parts(chat.messages)


def _limit_tool_values(chat: ChatRequest, limits: LimitSettings) -> None:
    """Leave out the oldest tool calls if all of them together have too many values."""
    remaining = limits.values
    for message in reversed(chat.messages):
        for located in reversed([*message.located_parts()]):
            part: object = located.part
            call = part.tool_invocation if isinstance(part, ToolInvocation) else part
            if not isinstance(call, UIToolPart | Invocation | SeparateCall):
                continue
            remaining -= sum(_count_values(value, limits.values) for value in call.values())
            if remaining < 0:
                reason = f"Tool inputs and outputs may contain {limits.values:,} values in total."
                kind = f"tool-{call.name}"
                located.replace(UnusablePart(type=kind, code="too_large", reason=reason))


def _count_values(value: object, limit: int) -> int:
    """Count a value and all values in it; stop at some number above `limit`."""
    count, pending = 0, [value]
    while pending and count <= limit:
        item = pending.pop()
        count += 1
        if type(item) in CONTAINER_TYPES:
            nested = cast("dict[str, Any] | list[Any]", item)
            pending.extend(nested.values() if isinstance(nested, dict) else nested)
    return count


def _limit_files(chat: ChatRequest, limits: LimitSettings) -> None:
    for message in chat.messages:
        for number, located in enumerate(message.file_parts()):
            part: FilePart = located.part.normalized()
            error = _too_many(part, limits) if number >= limits.files else file_error(part, limits)
            if error is not None:
                located.replace(error)


def _too_many(part: FilePart, limits: LimitSettings) -> UnusablePart:
    reason = f"At most {limits.files:,} files per message."
    return UnusablePart(type="file", filename=part.filename, code="too_large", reason=reason)


def _check_last_message(chat: ChatRequest, limits: LimitSettings) -> None:  # noqa: ARG001
    """Refuse what cannot be used in the last message; older messages are history."""
    last = chat.messages[-1]
    last.check_new_parts()
    answers_calls = any(isinstance(part.part, SeparateResult) for part in last.located_parts())
    counted = chat.messages if last.role == "assistant" or answers_calls else [last]
    parts = (part for message in counted for part in message.normalized().parts)
    # Workers leave out steps that contain only reasoning.
    empty = all(isinstance(part, ReasoningPart | StepStart) for part in parts)
    if empty and not chat.tool_responses():
        raise InvalidRequest(f"{last.path}: The last message is empty.", field=last.path)


#: They run in this order; the first that fails determines the response. Those between the checks of
#: names and the last one replace parts with unusable ones, which the last check refuses in new
#: messages.
_CHECKS: tuple[Callable[[ChatRequest, LimitSettings], None], ...] = (
    _check_ids,
    _add_other_spellings,
    _check_client_tool_names,
    _add_results_to_calls,
    _limit_tool_values,
    _limit_files,
    _replace_misplaced_parts,
    _check_last_message,
)
