"""The chat agent: the requested model and display tools, without instructions.

With the demo model, it has a tool that needs approval.
"""

from pydantic_ai import Agent

from shared.agents.agent_card import CHAT_AGENT, built_in_card
from worker.agents.definition import AgentContext, register_agent
from worker.tools.context import AgentRun
from worker.tools.demo_email import DEMO_EMAIL


@register_agent(CHAT_AGENT, description=built_in_card(CHAT_AGENT).description, display_tools=True)
def chat(context: AgentContext) -> Agent[AgentRun, str]:
    tools = [DEMO_EMAIL] if context.live.now.openai.demo else []
    return Agent(name=CHAT_AGENT, tools=tools, deps_type=AgentRun)
