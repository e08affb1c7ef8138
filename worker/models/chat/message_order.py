"""Adapts the order of a request's messages to servers whose chat templates are strict."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, cast

from openai.types.chat import ChatCompletionMessageParam

_Message = dict[str, Any]
#: Separates the texts of merged messages.
_SEPARATOR = "\n\n"
_OPENING = "[The assistant starts the conversation.]"


def merge_roles(messages: Iterable[ChatCompletionMessageParam]) -> list[ChatCompletionMessageParam]:
    """Merge consecutive messages of the user, and consecutive ones of the assistant."""
    merged: list[_Message] = []
    for role, group in groupby(cast("Iterable[_Message]", messages), key=lambda m: m["role"]):
        if role in ("user", "assistant"):
            first, *others = group
            for other in others:
                first = {key: _joined(first.get(key), other.get(key)) for key in {**first, **other}}
            merged.append(first | {"role": role})
        else:
            merged.extend(group)
    return cast("list[ChatCompletionMessageParam]", merged)


def start_with_user(
    messages: Iterable[ChatCompletionMessageParam],
) -> list[ChatCompletionMessageParam]:
    """Insert a message of the user if the assistant starts the conversation."""
    ordered = list(messages)
    roles = [message["role"] for message in ordered]
    first = next((n for n, role in enumerate(roles) if role in ("user", "assistant")), None)
    if first is not None and roles[first] == "assistant":
        ordered.insert(first, {"role": "user", "content": _OPENING})
    return ordered


def split_parallel_calls(
    messages: Iterable[ChatCompletionMessageParam],
) -> list[ChatCompletionMessageParam]:
    """Give each of several calls in a message an assistant message, followed by its result."""
    remaining = list(cast("Iterable[_Message]", messages))
    split: list[_Message] = []
    while remaining:
        message = remaining.pop(0)
        calls: list[_Message] = message.get("tool_calls") or []
        if len(calls) < 2:
            split.append(message)
            continue
        for number, call in enumerate(calls):
            first = message if number == 0 else {"role": "assistant", "content": None}
            split.append({**first, "tool_calls": [call]})
            result = next((m for m in remaining if m.get("tool_call_id") == call["id"]), None)
            if result is not None:
                remaining.remove(result)
                split.append(result)
    return cast("list[ChatCompletionMessageParam]", split)


def _joined(first: Any, second: Any) -> Any:  # noqa: ANN401  (the value of any field)
    if not first or not second:
        return first or second
    if isinstance(first, str) and isinstance(second, str):
        return first + _SEPARATOR + second
    parts = _parts(first), _parts(second)
    return second if None in parts else [*(parts[0] or ()), *(parts[1] or ())]


def _parts(value: object) -> list[Any] | None:
    if isinstance(value, list):
        return cast("list[Any]", value)
    return [{"type": "text", "text": value}] if isinstance(value, str) else None
