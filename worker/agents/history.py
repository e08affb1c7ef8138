"""Converts the messages of a request to pydantic-ai's messages."""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_ai.messages import (
    AudioUrl,
    DocumentUrl,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
    VideoUrl,
)

from shared.chat import data_url
from shared.chat import messages as chat
from shared.chat.media_types import declared_charset, normalize_media_type
from worker.agents.files import binary_content

_URL_KINDS = {"image": ImageUrl, "audio": AudioUrl, "video": VideoUrl}


def model_messages(messages: Iterable[chat.Message]) -> list[ModelMessage]:
    history: list[ModelMessage] = []
    for message in messages:
        if message.role == "assistant":
            history += _assistant(message.parts)
        elif message.role == "user":
            history.append(ModelRequest(parts=[UserPromptPart(_user_content(message.parts))]))
        else:
            history.append(ModelRequest(parts=[SystemPromptPart(_paragraphs(message.parts))]))
    return history


def tool_step(
    text: str, calls: Sequence[tuple[ToolCallPart, ToolReturnPart | None]]
) -> list[ModelMessage]:
    """Build one step: the model's text and tool calls, followed by the available results."""
    parts: list[TextPart | ToolCallPart] = [TextPart(text)] if text else []
    response = ModelResponse(parts=[*parts, *(call for call, _ in calls)])
    returns = [result for _, result in calls if result is not None]
    return [response, ModelRequest(parts=returns)] if returns else [response]


def tool_return(name: str, call_id: str, output: object, error: str | None) -> ToolReturnPart:
    outcome = "success" if error is None else "failed"
    content: Any = output if error is None else error
    return ToolReturnPart(name, content, call_id, outcome=outcome)


def _assistant(parts: Sequence[chat.Part]) -> list[ModelMessage]:
    """Split the parts into steps, because a `ModelResponse` holds one response of the model."""
    history: list[ModelMessage] = []
    step: list[chat.Part] = []
    for part in (*parts, chat.StepStart()):
        if not isinstance(part, chat.StepStart):
            step.append(part)
        elif step:
            history += _step(step)
            step = []
    return history


def _step(parts: Sequence[chat.Part]) -> list[ModelMessage]:
    calls = [
        (
            ToolCallPart(part.tool_name, part.input, part.tool_call_id),
            tool_return(part.tool_name, part.tool_call_id, part.output, part.error_text),
        )
        for part in parts
        if isinstance(part, chat.ToolPart)
    ]
    text = _text(parts)
    return tool_step(text, calls) if text or calls else []


def _text(parts: Iterable[chat.Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, chat.TextPart))


def _user_content(parts: Sequence[chat.Part]) -> str | list[UserContent]:
    """Return the parts in order. A text alone is a string, which every model server accepts."""
    if not any(isinstance(part, chat.FilePart) for part in parts):
        return _paragraphs(parts)
    return [
        part.text if isinstance(part, chat.TextPart) else _file(part)
        for part in parts
        if isinstance(part, chat.TextPart | chat.FilePart)
    ]


def _paragraphs(parts: Iterable[chat.Part]) -> str:
    return "\n\n".join(part.text for part in parts if isinstance(part, chat.TextPart))


def _file(part: chat.FilePart) -> UserContent:
    if part.url.startswith("data:"):
        charset = declared_charset(data_url.media_type(part.url))
        content = data_url.decode(part.url)
        return binary_content(content, part.media_type, part.filename, charset)
    media_type = normalize_media_type(part.media_type)
    kind = _URL_KINDS.get(media_type.partition("/")[0], DocumentUrl)
    return kind(part.url, media_type=media_type, identifier=part.filename)
