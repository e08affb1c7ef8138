"""The responses of a model backend, complete and streamed."""

from dataclasses import dataclass
from typing import Any

#: A tool call in OpenAI's format: `id`, `type`, `function: {name, arguments}`. A stream delivers
#: the arguments in pieces, and `index` identifies the call.
ToolCall = dict[str, Any]

#: `prompt_tokens`, `completion_tokens`, `total_tokens`.
Usage = dict[str, int]


@dataclass(frozen=True)
class ModelResponse:
    content: str
    tool_calls: list[ToolCall] | None = None
    usage: Usage | None = None
    model: str | None = None
    finish_reason: str | None = None
    reasoning: str | None = None


@dataclass(frozen=True)
class StreamChunk:
    """A piece of a streamed response.

    The last one has `is_final` set, the finish reason, and the usage that the model reported.
    """

    content: str = ""
    tool_calls: list[ToolCall] | None = None
    is_final: bool = False
    usage: Usage | None = None
    reasoning: str = ""
    finish_reason: str | None = None
