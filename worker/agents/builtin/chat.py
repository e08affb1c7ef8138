"""The chat agent: the requested model and display tools, without instructions."""

from pydantic_ai import Agent

from shared.agents.agent_card import CHAT_AGENT, built_in_card
from worker.agents.definition import AgentContext, register_agent
from worker.tools.context import AgentRun


@register_agent(CHAT_AGENT, description=built_in_card(CHAT_AGENT).description, display_tools=True)
def chat(_: AgentContext) -> Agent[AgentRun, str]:
    return Agent(name=CHAT_AGENT, deps_type=AgentRun)
