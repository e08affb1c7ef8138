"""Reading a chat request, with the checks that depend on settings or on several fields."""

from collections.abc import Callable
from typing import Any, cast

from fastapi import Request

from api.chat.body_reader import read_body
from api.chat.files import check_file, check_file_count
from api.chat.ids import check_chat_id, check_id
from api.chat.request import ChatRequest
from api.http.body_model import CONTAINER_TYPES
from shared.errors import InvalidRequest, TooLarge
from shared.settings import LimitSettings


async def read_chat_request(request: Request, limits: LimitSettings) -> ChatRequest:
    """Read, parse and check the body. Raises the errors of `read_body`."""
    return await read_body(ChatRequest, request, limits, *_CHECKS)


def _check_ids(chat: ChatRequest, limits: LimitSettings) -> None:
    check_chat_id("id", chat.id, limits)
    for index, message in enumerate(chat.messages):
        check_id(f"messages[{index}].id", message.id, limits)


def _check_client_tool_names(chat: ChatRequest, limits: LimitSettings) -> None:  # noqa: ARG001
    names: set[str] = set()
    for index, tool in enumerate(chat.client_tools or ()):
        if tool.name in names:
            field = f"clientTools[{index}].name"
            raise InvalidRequest(f"{field}: Another tool has the same name.", field=field)
        names.add(tool.name)


def _check_tool_values(chat: ChatRequest, limits: LimitSettings) -> None:
    remaining = limits.values
    for index, message in enumerate(chat.messages):
        for value in message.tool_values():
            remaining -= _count_values(value, remaining)
            if remaining < 0:
                field = f"messages[{index}]"
                raise TooLarge(
                    f"{field}: Tool inputs and outputs may contain {limits.values:,} values in"
                    " total.",
                    field=field,
                )


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


def _check_files(chat: ChatRequest, limits: LimitSettings) -> None:
    for index, message in enumerate(chat.messages):
        files = list(message.files())
        check_file_count(len(files), f"messages[{index}]", limits)
        for field_path, part in files:
            check_file(part, f"messages[{index}].{field_path}", limits)


def _check_last_message(chat: ChatRequest, limits: LimitSettings) -> None:  # noqa: ARG001
    if not chat.messages[-1].normalized().parts and not chat.tool_responses():
        field = f"messages[{len(chat.messages) - 1}]"
        raise InvalidRequest(f"{field}: The last message is empty.", field=field)


#: They run in this order; the first that fails determines the response.
_CHECKS: tuple[Callable[[ChatRequest, LimitSettings], None], ...] = (
    _check_ids,
    _check_client_tool_names,
    _check_tool_values,
    _check_files,
    _check_last_message,
)
