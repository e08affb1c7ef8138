"""Finds out which scripted response a request needs, and how much of it the client has."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

#: Start of the prompt with which the worker requests the rest of an interrupted answer.
CONTINUE = "Continue your previous answer"

#: Reasoning that came in the text returns in the text.
_THINKING = re.compile(r"<think>.*?</think>\s*", re.DOTALL)

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ScriptPosition:
    #: Index of the response: the number of tool rounds since the last user message.
    index: int
    #: The text that the client already has.
    partial: str


def script_position(messages: Sequence[Message]) -> ScriptPosition:
    tail = _after_last(
        messages, lambda message: message["role"] == "user" and not _is_continuation(message)
    )
    rounds = sum(role == "tool" for role, _ in groupby(message["role"] for message in tail))
    return ScriptPosition(rounds, _partial(tail))


def _partial(tail: Sequence[Message]) -> str:
    if not tail or not _is_continuation(tail[-1]):
        return ""
    step = _after_last(tail, lambda message: message["role"] == "tool")
    text = "".join(text_of(message) for message in step if message["role"] == "assistant")
    return _THINKING.sub("", text)


def _is_continuation(message: Message) -> bool:
    return message["role"] == "user" and text_of(message).startswith(CONTINUE)


def text_of(message: Message) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _after_last(
    messages: Sequence[Message], matches: Callable[[Message], bool]
) -> Sequence[Message]:
    for n in range(len(messages), 0, -1):
        if matches(messages[n - 1]):
            return messages[n:]
    return messages
