"""The tools that are told of: the display tools, agents' own, and those that a request brings."""

from typing import Any

from pydantic import BaseModel, ConfigDict

#: The display tools, by name.
DISPLAY_TOOL_NAMES = ("generateForm", "generateChart", "generateCode", "generateCard")


class _ToolDescription(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    description: str = ""
    #: JSON Schema of an object.
    input_schema: dict[str, Any]


class ToolCard(_ToolDescription):
    """What a worker tells of a tool of an agent's."""

    #: None where the tool's function does not say what it returns.
    output_schema: dict[str, Any] | None = None


class ClientToolDefinition(_ToolDescription):
    """A tool that the client has: the model calls it, the client makes the call."""
