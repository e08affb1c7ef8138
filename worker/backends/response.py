"""What a backend answers, whole and in pieces."""

from dataclasses import dataclass
from typing import Any

#: A tool call as OpenAI writes it: `id`, `type`, `function: {name, arguments}`. In a stream the
#: arguments come in pieces, and `index` says which call a piece belongs to.
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
    """The last one of a stream `is_final`: it has the reason of the end, and the usage if told."""

    content: str = ""
    tool_calls: list[ToolCall] | None = None
    is_final: bool = False
    usage: Usage | None = None
    reasoning: str = ""
    finish_reason: str | None = None
