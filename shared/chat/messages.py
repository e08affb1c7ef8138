"""A chat's history as a run's job carries it: what every client version sends, in one shape.

`api/chat/request.py` builds it from a request. `worker/agents/history.py` converts it to the
model's messages.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["system", "user", "assistant"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TextPart(_Part):
    type: Literal["text"] = "text"
    text: str


class ReasoningPart(_Part):
    type: Literal["reasoning"] = "reasoning"
    text: str


class FilePart(_Part):
    type: Literal["file"] = "file"
    media_type: str
    #: `https:`, `http:` or `data:`.
    url: str
    filename: str | None = None


class ToolPart(_Part):
    """A tool call that has its result; exactly one of output and error_text says which."""

    type: Literal["tool"] = "tool"
    tool_call_id: str
    tool_name: str
    input: Any
    output: Any = None
    error_text: str | None = None


class StepStart(_Part):
    """Parts before and after it came from different model requests."""

    type: Literal["step-start"] = "step-start"


Part = Annotated[
    TextPart | ReasoningPart | FilePart | ToolPart | StepStart, Field(discriminator="type")
]


class Message(_Part):
    role: Role
    parts: tuple[Part, ...]
