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
    ThinkingPart,
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
from worker.output.provider_metadata import joined_text, thinking_part, tool_call_part

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


def model_step(
    reasoning: Iterable[ThinkingPart],
    text: TextPart | None,
    calls: Sequence[tuple[ToolCallPart, ToolReturnPart | None]],
) -> list[ModelMessage]:
    """Build one step: the model's response, followed by the available results of its calls."""
    parts = [*reasoning, *([text] if text else []), *(call for call, _ in calls)]
    response = ModelResponse(parts=parts)
    results = [result for _, result in calls if result is not None]
    return [response, ModelRequest(parts=results)] if results else [response]


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
    """A step with reasoning only is left out, because models do not accept it."""
    calls = [
        (
            tool_call_part(part.tool_name, part.input, part.tool_call_id, part.metadata),
            tool_return(part.tool_name, part.tool_call_id, part.output, part.error_text),
        )
        for part in parts
        if isinstance(part, chat.ToolPart)
    ]
    texts = [part for part in parts if isinstance(part, chat.TextPart)]
    text = joined_text([(part.text, part.metadata) for part in texts])
    reasoning = [
        thinking_part(part.text, part.metadata)
        for part in parts
        if isinstance(part, chat.ReasoningPart)
    ]
    return model_step(reasoning, text, calls) if text or calls else []


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
