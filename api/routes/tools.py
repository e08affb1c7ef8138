"""`GET /tools`: the tools of all agents, with the JSON Schemas of their inputs and outputs."""

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.http import problems
from api.process import CurrentProcess
from shared.agents.agent_card import AgentCard
from shared.agents.display.tools import DISPLAY_TOOLS
from shared.agents.tools import ToolCard
from shared.errors import InvalidRequest, NotFound

router = APIRouter(tags=["tools"])

_NO_SUCH_TOOL = "Unknown tool. GET /tools lists the available tools."

_Schema = dict[str, Any]


class ToolSummary(BaseModel):
    name: str = Field(examples=["generateCard"])
    description: str = Field(description="Its description for the model")
    kind: Literal["display", "server"] = Field(
        description="display: front ends render its output; server: agents use it internally"
    )
    agents: list[str] = Field(
        description="The agents that use it. `chat` uses the display tools that a request names",
        examples=[["chat"]],
    )


class Tools(BaseModel):
    tools: list[ToolSummary]


class Tool(ToolSummary):
    input_schema: _Schema | None = Field(
        description="JSON Schema (draft 2020-12) of its arguments; null: not reported by a worker"
    )
    output_schema: _Schema | None = Field(
        description="JSON Schema of its output; null: any, or not reported by a worker"
    )
    example: _Schema | None = Field(description="An example output, for display tools")


@router.get("/tools", responses=problems.responses(503))
async def list_tools(process: CurrentProcess) -> Tools:
    """List the display tools, then the tools of the agents.

    Tools of different agents may have the same name.
    """
    found = _tools(await _cards(process))
    return Tools(tools=[ToolSummary.model_validate(tool.model_dump()) for tool in found])


@router.get(
    "/tools/{name}",
    responses=problems.responses(404, 422, 503, also=[NotFound(_NO_SUCH_TOOL)]),
)
async def describe_tool(
    process: CurrentProcess,
    name: str,
    agent: Annotated[
        str | None, Query(description="The agent, if several have a tool with this name")
    ] = None,
) -> Tool:
    """Return a tool with its schemas, for example to generate types from them."""
    named = [tool for tool in _tools(await _cards(process)) if tool.name == name]
    if agent is not None:
        named = [tool for tool in named if agent in tool.agents]
    if not named:
        raise NotFound(_NO_SUCH_TOOL)
    if len(named) > 1:
        agents = ", ".join(name for tool in named for name in tool.agents)
        raise InvalidRequest(
            f"agent: Several agents have a tool with this name. Choose one of: {agents}.",
            field="agent",
        )
    return named[0]


async def _cards(process: CurrentProcess) -> list[AgentCard]:
    return await process.agents.all()


def _tools(cards: Sequence[AgentCard]) -> list[Tool]:
    tools = [_display_tool(name, cards) for name in DISPLAY_TOOLS]
    for card in cards:
        reported = {tool.name: tool for tool in card.own_tools}
        for name in card.tools:
            if name not in DISPLAY_TOOLS:
                _add(tools, _server_tool(name, reported.get(name)), card.name)
    return tools


def _add(tools: list[Tool], tool: Tool, agent: str) -> None:
    """Add the tool, or add the agent to an identical tool in the list."""
    for listed in tools:
        if listed.model_copy(update={"agents": []}) == tool:
            listed.agents.append(agent)
            return
    tools.append(tool.model_copy(update={"agents": [agent]}))


def _display_tool(name: str, cards: Sequence[AgentCard]) -> Tool:
    tool = DISPLAY_TOOLS[name]
    return Tool(
        name=name,
        description=tool.description,
        kind="display",
        agents=[card.name for card in cards if name in card.tools],
        input_schema=_input_schema(name),
        output_schema=_output_schema(name),
        example=tool.example.output(),
    )


@cache
def _input_schema(name: str) -> _Schema:
    return _schema_document(DISPLAY_TOOLS[name].input_schema(), name, "input")


@cache
def _output_schema(name: str) -> _Schema:
    return _schema_document(DISPLAY_TOOLS[name].output_schema(), name, "output")


def _server_tool(name: str, card: ToolCard | None) -> Tool:
    return Tool(
        name=name,
        description=card.description if card else "",
        kind="server",
        agents=[],
        input_schema=_schema_document(card.input_schema, name, "input") if card else None,
        output_schema=(
            _schema_document(card.output_schema, name, "output")
            if card and card.output_schema
            else None
        ),
        example=None,
    )


def _schema_document(schema: _Schema, name: str, side: str) -> _Schema:
    """Add what makes the schema a document, and a title for the type that is generated from it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:mamba:tool:{name}:{side}",
        **schema,
        "title": "".join(f"{word[:1].upper()}{word[1:]}" for word in (*name.split("_"), side)),
    }
