"""The tools that are told of: the display tools, which a request may enable, and agents' own."""

from typing import Any

from pydantic import BaseModel, ConfigDict

DISPLAY_TOOL_NAMES = ("generateForm", "generateChart", "generateCode", "generateCard")


class ToolCard(BaseModel):
    """What a worker tells of a tool of an agent's. The schemas are JSON Schemas."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    description: str = ""
    input_schema: dict[str, Any]
    #: None where the tool's function does not say what it returns.
    output_schema: dict[str, Any] | None = None
