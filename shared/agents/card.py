"""The agents: who can be asked, and within which limits. Workers make them, the API names them."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.agents.tools import DISPLAY_TOOL_NAMES, ToolCard
from shared.redis.keys import MAIN_QUEUE

AgentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AgentLimits(_Model):
    """What one run may take, over all its attempts; `None`: what the `run` settings allow.

    `seconds` and `steps` only tighten those settings. `cost` is in US dollars, and holds where the
    prices of the model are known.
    """

    seconds: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    cost: Decimal | None = Field(default=None, gt=0)


class AgentRetries(_Model):
    """How often a failed attempt is made anew; `None`: as often as the settings say.

    Once something was shown, the next attempt continues it, or the run fails.
    """

    max_retries: int | None = Field(default=None, ge=0)
    after_output: Literal["continue", "fail"] = "continue"


class AgentCard(BaseModel):
    """What is told of an agent."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: AgentName
    description: str = ""
    #: The model that it always asks; None: the request's, or the default one.
    model: str | None = None
    tools: tuple[str, ...] = ()
    #: More of those that are no display tools; only workers know it.
    own_tools: tuple[ToolCard, ...] = ()
    #: Whether it has the display tools that a request names; the others leave these alone.
    display_tools: bool = False
    queue: AgentName = MAIN_QUEUE
    limits: AgentLimits = AgentLimits()


#: The agent of requests that name none.
CHAT_AGENT = "chat"

#: Those that each worker has, so that the API need not hear of them first.
BUILT_IN = (
    AgentCard(
        name=CHAT_AGENT,
        description="Answers with any model, and shows what the request's display tools can.",
        tools=DISPLAY_TOOL_NAMES,
        display_tools=True,
    ),
    AgentCard(
        name="code_review",
        description="Reviews code, files and diffs: bugs, security, complexity, duplicates.",
        tools=("list_files", "analyze_complexity", "find_problems", "report_finding"),
    ),
    AgentCard(
        name="research",
        description="Answers from your notes and, where that is configured, the web; cites them.",
        tools=("search_notes", "read_note"),
    ),
)


def built_in_card(name: str) -> AgentCard:
    return next(card for card in BUILT_IN if card.name == name)
