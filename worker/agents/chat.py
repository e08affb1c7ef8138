"""The ChatAgent: a model, the display tools that the request enables, and no opinions."""

from pydantic_ai import Agent

from shared.agents import BUILT_IN, CHAT_AGENT
from worker.agents.definition import AgentContext, AgentRun, register_agent

[_CARD] = [card for card in BUILT_IN if card.name == CHAT_AGENT]


@register_agent(CHAT_AGENT, description=_CARD.description, display_tools=True)
def chat(_: AgentContext) -> Agent[AgentRun, str]:
    return Agent(name=CHAT_AGENT, deps_type=AgentRun)
