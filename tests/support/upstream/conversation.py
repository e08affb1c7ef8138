"""Which turn a request asks for, and how much of it stands in the request already."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

#: How the worker asks for the rest of an answer that was cut off.
CONTINUE = "Continue your previous answer"

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ScriptPosition:
    turn: int
    partial: str


def place(messages: Sequence[Message]) -> ScriptPosition:
    tail = _after_last(
        messages, lambda message: message["role"] == "user" and not _asks_on(message)
    )
    rounds = sum(role == "tool" for role, _ in groupby(message["role"] for message in tail))
    return ScriptPosition(rounds, _partial(tail))


def _partial(tail: Sequence[Message]) -> str:
    if not tail or not _asks_on(tail[-1]):
        return ""
    step = _after_last(tail, lambda message: message["role"] == "tool")
    return "".join(text_of(message) for message in step if message["role"] == "assistant")


def _asks_on(message: Message) -> bool:
    return message["role"] == "user" and text_of(message).startswith(CONTINUE)


def text_of(message: Message) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _after_last(messages: Sequence[Message], found: Callable[[Message], bool]) -> Sequence[Message]:
    for n in range(len(messages), 0, -1):
        if found(messages[n - 1]):
            return messages[n:]
    return messages
