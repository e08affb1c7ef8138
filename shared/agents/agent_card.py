"""Agent cards: descriptions of agents that workers publish and the API serves."""

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.agent_name import AgentName
from shared.agents.tools import DISPLAY_TOOL_NAMES, ToolCard
from shared.redis.keys import MAIN_QUEUE


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AgentLimits(_Model):
    """Limits of one run over all its attempts. `None` means the limit of the `run` settings.

    `seconds` and `steps` can only lower those settings. `cost` is in US dollars and applies to
    models with known prices.
    """

    seconds: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    cost: Decimal | None = Field(default=None, gt=0)


class AgentRetries(_Model):
    """How often a failed attempt is retried. `None` means as often as the settings allow.

    `after_output` decides whether a retry continues an answer that has begun, or the run fails.
    """

    max_retries: int | None = Field(default=None, ge=0)
    after_output: Literal["continue", "fail"] = "continue"


class AgentCard(BaseModel):
    """The public description of an agent."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: AgentName
    description: str = ""
    #: The agent's fixed model; None for the model of the request, or the default model.
    model: str | None = None
    tools: tuple[str, ...] = ()
    #: Details of the tools that are not display tools; only workers provide them.
    own_tools: tuple[ToolCard, ...] = ()
    #: Whether the agent uses the display tools that a request names.
    display_tools: bool = False
    queue: AgentName = MAIN_QUEUE
    limits: AgentLimits = AgentLimits()
    #: Whether the agent file describes it. All workers read the same file.
    from_file: bool = False


#: The agent of requests without an agent name.
CHAT_AGENT = "chat"

#: Agents that every worker offers.
BUILT_IN_AGENTS = (
    AgentCard(
        name=CHAT_AGENT,
        description="Answers with any model. Uses the display tools that the request names.",
        tools=DISPLAY_TOOL_NAMES,
        display_tools=True,
    ),
    AgentCard(
        name="code_review",
        description="Finds bugs, security problems, complexity and duplicates in code and diffs.",
        tools=("list_files", "analyze_complexity", "find_problems", "report_finding"),
    ),
    AgentCard(
        name="research",
        description="Answers from your notes and from the web, if configured. Cites its sources.",
        tools=("search_notes", "read_note"),
    ),
)


def built_in_card(name: str) -> AgentCard:
    return next(card for card in BUILT_IN_AGENTS if card.name == name)
