"""The messages of a chat in a job, independent of the client version that sent them.

`api/chat/message.py` builds it from a request. `worker/agents/history.py` converts it to the
model's messages.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.provider_metadata import Metadata

Role = Literal["system", "user", "assistant"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TextPart(_Part):
    type: Literal["text"] = "text"
    text: str
    metadata: Metadata | None = None


class ReasoningPart(_Part):
    type: Literal["reasoning"] = "reasoning"
    text: str
    metadata: Metadata | None = None


class FilePart(_Part):
    type: Literal["file"] = "file"
    media_type: str
    #: `https:`, `http:` or `data:`.
    url: str
    filename: str | None = None


class ToolPart(_Part):
    """A completed tool call, with either `output` or `error_text`."""

    type: Literal["tool"] = "tool"
    tool_call_id: str
    tool_name: str
    input: Any
    output: Any = None
    error_text: str | None = None
    metadata: Metadata | None = None


class StepStart(_Part):
    """Separates the parts of different model requests."""

    type: Literal["step-start"] = "step-start"


Part = Annotated[
    TextPart | ReasoningPart | FilePart | ToolPart | StepStart, Field(discriminator="type")
]


class Message(_Part):
    #: The client's id.
    id: str | None = None
    role: Role
    parts: tuple[Part, ...]
