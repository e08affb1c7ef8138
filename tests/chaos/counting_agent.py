"""An agent whose tools record each of their effects. Workers import this module."""

import asyncio
import json
import os
from pathlib import Path

from pydantic_ai import Agent, RunContext

from mamba.agents import AgentContext, AgentRun, call_key, register_agent

NAME = "counting"
TOOL = "count"
#: The same tool, but its calls need an approval.
GUARDED_TOOL = "count_guarded"
#: The variable with the path of the file that the effects are appended to.
EFFECTS = "CHAOS_EFFECTS"


@register_agent(NAME, description="Records its tool calls.")
def counting(_: AgentContext) -> Agent[AgentRun, str]:
    agent = Agent(deps_type=AgentRun)
    agent.tool(name=TOOL)(_count)
    agent.tool(name=GUARDED_TOOL, requires_approval=True)(_count)
    return agent


async def _count(context: RunContext[AgentRun], label: str) -> str:
    """Record a label."""
    effect = {
        "run": context.deps.run_id,
        "call": context.tool_call_id,
        "key": call_key(context),
    }
    with Path(os.environ[EFFECTS]).open("a") as file:  # noqa: ASYNC230  (one short line)
        file.write(json.dumps(effect) + "\n")
    await asyncio.sleep(0.3)
    return f"recorded {label}"
