"""Files of older messages that the model does not accept."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    BinaryContent,
    FileUrl,
    ModelMessage,
    ModelRequest,
    UserContent,
    UserPromptPart,
)


def check_files(
    messages: list[ModelMessage], check: Callable[[UserContent], None]
) -> list[ModelMessage]:
    """Check the newest user message, and replace each older file that is rejected with a note.

    An image in the history would otherwise end a chat whose user selects a model without images.

    Raises:
        UserError: if `check` rejects a part of the newest user message.
    """
    newest = _newest_prompt(messages)
    for content in user_contents(messages[newest:]):
        check(content)
    older = [_replace_files(message, check) for message in messages[:newest]]
    return [*older, *messages[newest:]]


def _newest_prompt(messages: Sequence[ModelMessage]) -> int:
    """Return the index of the newest user message; 0 if there is none."""
    return next((n for n in reversed(range(len(messages))) if _has_prompt(messages[n])), 0)


def user_contents(messages: list[ModelMessage]) -> list[UserContent]:
    return [
        content
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, UserPromptPart) and not isinstance(part.content, str)
        for content in part.content
    ]


def _has_prompt(message: ModelMessage) -> bool:
    return any(isinstance(part, UserPromptPart) for part in message.parts)


def _replace_files(message: ModelMessage, check: Callable[[UserContent], None]) -> ModelMessage:
    if not isinstance(message, ModelRequest) or not user_contents([message]):
        return message
    parts = [
        replace(part, content=[_accepted(content, check) for content in part.content])
        if isinstance(part, UserPromptPart) and not isinstance(part.content, str)
        else part
        for part in message.parts
    ]
    return replace(message, parts=parts)


def _accepted(content: UserContent, check: Callable[[UserContent], None]) -> UserContent:
    try:
        check(content)
    except UserError as error:
        kind = content.media_type if isinstance(content, BinaryContent | FileUrl) else "content"
        return f"[Left out of this message: {kind}. {error}]"
    return content
