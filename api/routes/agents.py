"""`GET /agents`: who can be asked."""

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.http import problems
from api.process import CurrentProcess
from shared.agents.card import CHAT_AGENT, AgentCard

router = APIRouter(tags=["agents"])

_REDIS_SECONDS = 8.0


class Limits(BaseModel):
    seconds: float | None = Field(description="Longest time from start to end")
    steps: int | None = Field(description="Model requests")
    tokens: int | None = Field(description="Tokens in and out")
    cost: float | None = Field(description="US dollars")


class Agent(BaseModel):
    name: str = Field(examples=["chat"])
    description: str
    model: str | None = Field(description="The model it always asks; null: the request's")
    tools: list[str] = Field(description="Those known beforehand")
    display_tools: bool = Field(description="Whether it takes a request's `tools`")
    queue: str
    limits: Limits = Field(description="Of a run; null: what the settings allow")
    default: bool = Field(description="Whether it answers requests that name none")


class Agents(BaseModel):
    agents: list[Agent]


@router.get("/agents", responses=problems.responses(503))
async def list_agents(process: CurrentProcess) -> Agents:
    """The agents that a request may name."""
    async with asyncio.timeout(_REDIS_SECONDS):
        cards = await process.agents.all()
    return Agents(agents=[_agent(card) for card in cards])


def _agent(card: AgentCard) -> Agent:
    return Agent(
        name=card.name,
        description=card.description,
        model=card.model,
        tools=list(card.tools),
        display_tools=card.display_tools,
        queue=card.queue,
        limits=Limits.model_validate(card.limits.model_dump()),
        default=card.name == CHAT_AGENT,
    )
