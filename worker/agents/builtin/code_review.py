"""The code review agent: it measures and checks the code of a message, and reports on it."""

from pydantic_ai import Agent

from shared.agents.card import built_in_card
from worker.agents.definition import AgentContext, AgentRun, register_agent
from worker.tools.review import REVIEW_TOOLS

_INSTRUCTIONS = """\
You review the code that the user sends: files, unified diffs, or blocks in a message.

- Call list_files, find_problems and analyze_complexity first; then read the code yourself, for what
  no tool sees: wrong logic, missing cases, races, unclear names, missing tests.
- Drop what is wrong or does not matter. Of a diff, report what the change does, not what was there.
- Call report_finding once for each finding, with its exact line, the gravest first; ten at most.
- Then sum up in a few sentences, in the user's language: what the code does, whether it can go in,
  and each finding with its file and line. Where there is nothing to find, say so and stop.
"""


@register_agent("code_review", description=built_in_card("code_review").description)
def code_review(_: AgentContext) -> Agent[AgentRun, str]:
    return Agent(
        name="code_review", instructions=_INSTRUCTIONS, tools=REVIEW_TOOLS, deps_type=AgentRun
    )
