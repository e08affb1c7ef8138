"""`GET /agents`."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.http import problems
from api.process import CurrentProcess
from shared.agents.agent_card import CHAT_AGENT, AgentCard

router = APIRouter(tags=["agents"])


class Limits(BaseModel):
    seconds: float | None = Field(description="Maximum duration")
    steps: int | None = Field(description="Maximum number of model requests")
    tokens: int | None = Field(description="Maximum number of input and output tokens")
    cost: float | None = Field(description="Maximum cost in US dollars")


class Agent(BaseModel):
    name: str = Field(examples=["chat"])
    description: str
    model: str | None = Field(description="Its fixed model; null: the model of the request")
    tools: list[str] = Field(description="Names of its tools that are known in advance")
    display_tools: bool = Field(
        description="Whether it uses the display tools in a request's `tools`"
    )
    queue: str
    limits: Limits = Field(description="Limits of one run; null: those of the settings")
    default: bool = Field(description="Whether requests without an `agent` use it")


class Agents(BaseModel):
    agents: list[Agent]


@router.get("/agents", responses=problems.responses(503))
async def list_agents(process: CurrentProcess) -> Agents:
    """List the agents that requests may name."""
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
