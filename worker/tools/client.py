"""Client tools: the model calls them, the run ends, and the client sends a tool response."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydantic_ai import ExternalToolset, RunContext, ToolDefinition
from pydantic_ai.toolsets import ToolsetTool
from pydantic_core import SchemaValidator, core_schema

from shared.agents.tools import ClientToolDefinition
from worker.tools.context import AgentRun

_ARGUMENTS = SchemaValidator(core_schema.dict_schema(core_schema.str_schema()))
_RETRIES = 3


class ClientToolset(ExternalToolset[AgentRun]):
    """Checks only that the arguments are an object. The client validates the rest."""

    def __init__(self, tools: Iterable[ClientToolDefinition]) -> None:
        super().__init__([_definition(tool) for tool in tools])

    async def get_tools(self, ctx: RunContext[AgentRun]) -> dict[str, ToolsetTool[AgentRun]]:
        tools = await super().get_tools(ctx)
        return {
            name: replace(tool, args_validator=_ARGUMENTS, max_retries=_RETRIES)
            for name, tool in tools.items()
        }


def _definition(tool: ClientToolDefinition) -> ToolDefinition:
    schema: dict[str, Any] = {"type": "object", "properties": {}, **tool.input_schema}
    return ToolDefinition(
        name=tool.name, description=tool.description or None, parameters_json_schema=schema
    )
