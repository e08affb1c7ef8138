"""Descriptions of tools: server tools, and client tools that a request defines."""

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
    """A worker's description of a tool of an agent."""

    #: None if the tool's function has no return type.
    output_schema: dict[str, Any] | None = None


class ClientToolDefinition(_ToolDescription):
    """A client tool: the model calls it, and the client executes the call."""
