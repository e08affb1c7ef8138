"""The public API for writing agents in Python. See `docs/agents.md`."""

from pydantic_ai import ToolReturn

from shared.agents.agent_card import AgentLimits, AgentRetries
from shared.errors import AgentNotOffered
from shared.streams.events import Data, File, SourceDocument, SourceUrl
from worker.agents.definition import AgentContext, AgentDefinition, register_agent
from worker.tools.context import AgentRun, call_key

__all__ = [
    "AgentContext",
    "AgentDefinition",
    "AgentLimits",
    "AgentNotOffered",
    "AgentRetries",
    "AgentRun",
    "Data",
    "File",
    "SourceDocument",
    "SourceUrl",
    "ToolReturn",
    "call_key",
    "register_agent",
]
