"""The fields of a streamed chunk that must have the right type.

Servers may omit and add fields. A wrong type, such as text instead of a list, is rejected.
"""

from typing import Any

from pydantic import BaseModel, ValidationError


def is_readable(chunk: object) -> bool:
    """Whether a chunk that violates OpenAI's schema can still be processed."""
    try:
        _Chunk.model_validate(chunk)
    except ValidationError:
        return False
    return True


class _Function(BaseModel):
    name: str | None = None
    arguments: str | dict[str, Any] | list[Any] | None = None


class _ToolCallDelta(BaseModel):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(BaseModel):
    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCallDelta] | None = None


class _Choice(BaseModel):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class _Chunk(BaseModel):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
