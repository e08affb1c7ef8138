"""`GET /tools`: what answers call, and what a front end has to render, as JSON Schemas."""

import asyncio
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.http import problems
from api.process import CurrentProcess
from shared.agents.card import AgentCard
from shared.agents.display.tools import DISPLAY_TOOLS
from shared.agents.tools import ToolCard
from shared.errors import InvalidRequest, NotFound

router = APIRouter(tags=["tools"])

_REDIS_SECONDS = 8.0
_NO_SUCH_TOOL = "There is no such tool. GET /tools lists those there are."

_Schema = dict[str, Any]


class ToolSummary(BaseModel):
    name: str = Field(examples=["generateCard"])
    description: str = Field(description="What the model is told of it")
    kind: Literal["display", "server"] = Field(
        description="display: its output is there to be rendered; server: it works for the answer"
    )
    agents: list[str] = Field(
        description="Who uses it; display tools of `chat` where a request names them in `tools`",
        examples=[["chat"]],
    )


class Tools(BaseModel):
    tools: list[ToolSummary]


class Tool(ToolSummary):
    input_schema: _Schema | None = Field(
        description="Of its arguments (JSON Schema, draft 2020-12); null: no worker has told it"
    )
    output_schema: _Schema | None = Field(
        description="Of its output; null: any, or no worker has told it"
    )
    example: _Schema | None = Field(description="An output of a display tool")


@router.get("/tools", responses=problems.responses(503))
async def list_tools(process: CurrentProcess) -> Tools:
    """The display tools, then those of the agents. Two agents may each have one of a name."""
    found = _tools(await _cards(process))
    return Tools(tools=[ToolSummary.model_validate(tool.model_dump()) for tool in found])


@router.get(
    "/tools/{name}",
    responses=problems.responses(404, 422, 503, also=[NotFound(_NO_SUCH_TOOL)]),
)
async def describe_tool(
    process: CurrentProcess,
    name: str,
    agent: Annotated[str | None, Query(description="Whose tool, where several have one")] = None,
) -> Tool:
    """A tool with its schemas, which front ends make types of."""
    named = [tool for tool in _tools(await _cards(process)) if tool.name == name]
    if agent is not None:
        named = [tool for tool in named if agent in tool.agents]
    if not named:
        raise NotFound(_NO_SUCH_TOOL)
    if len(named) > 1:
        agents = ", ".join(name for tool in named for name in tool.agents)
        raise InvalidRequest(f"agent: Say whose tool: {agents} have one each.", field="agent")
    return named[0]


async def _cards(process: CurrentProcess) -> list[AgentCard]:
    async with asyncio.timeout(_REDIS_SECONDS):
        return await process.agents.all()


def _tools(cards: Iterable[AgentCard]) -> list[Tool]:
    tools = [_display_tool(name, cards) for name in DISPLAY_TOOLS]
    for card in cards:
        told = {tool.name: tool for tool in card.own_tools}
        for name in card.tools:
            if name not in DISPLAY_TOOLS:
                _add(tools, _server_tool(name, told.get(name)), card.name)
    return tools


def _add(tools: list[Tool], tool: Tool, agent: str) -> None:
    """Once, where several agents have the same."""
    for known in tools:
        if known.model_copy(update={"agents": []}) == tool:
            known.agents.append(agent)
            return
    tools.append(tool.model_copy(update={"agents": [agent]}))


def _display_tool(name: str, cards: Iterable[AgentCard]) -> Tool:
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
    return _identified(DISPLAY_TOOLS[name].input_schema(), name, "input")


@cache
def _output_schema(name: str) -> _Schema:
    return _identified(DISPLAY_TOOLS[name].output_schema(), name, "output")


def _server_tool(name: str, card: ToolCard | None) -> Tool:
    return Tool(
        name=name,
        description=card.description if card else "",
        kind="server",
        agents=[],
        input_schema=_identified(card.input_schema, name, "input") if card else None,
        output_schema=(
            _identified(card.output_schema, name, "output") if card and card.output_schema else None
        ),
        example=None,
    )


def _identified(schema: _Schema, name: str, side: str) -> _Schema:
    """A document of its own, with a name for the type that is made of it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:mamba:tool:{name}:{side}",
        **schema,
        "title": "".join(f"{word[:1].upper()}{word[1:]}" for word in (*name.split("_"), side)),
    }
