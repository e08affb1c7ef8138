"""The research agent: it answers from the operator's notes and the web, and cites what it read."""

from pydantic_ai import Agent

from shared.agents.card import built_in_card
from worker.agents.definition import AgentContext, AgentRun, register_agent
from worker.agents.file_tools import configured_web_tools, shared_note_tools

_INSTRUCTIONS = """\
You research a question and answer it from sources.

- Search first, with the words that the answer would hold; search again with other words when the
  results do not fit. Prefer the notes to the web: they are the operator's own.
- Read a source before you use it. Say nothing that none of them says; where they are silent or
  disagree, say that.
- Answer in the user's language, the conclusion first, briefly. Behind each statement cite its
  source by its title in square brackets, such as [Backups: Schedule].
"""


@register_agent("research", description=built_in_card("research").description)
async def research(context: AgentContext) -> Agent[AgentRun, str]:
    tools = [*await shared_note_tools(context), *configured_web_tools(context)]
    return Agent(name="research", instructions=_INSTRUCTIONS, tools=tools, deps_type=AgentRun)
