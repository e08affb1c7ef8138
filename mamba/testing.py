"""The public API for testing agents. See `docs/agents.md`."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from shared.settings import OpenAISettings, Settings
from shared.settings.live_settings import LiveSettings
from worker.agents.definition import AgentContext, AgentDefinition, AnyAgent
from worker.agents.registry import build_agent
from worker.models.registry import ModelRegistry

__all__ = ["open_agent"]

#: Reserved by RFC 6761: the name never resolves.
_NO_SERVER = "http://model.invalid/v1"


@asynccontextmanager
async def open_agent(definition: AgentDefinition) -> AsyncGenerator[AnyAgent]:
    """Build an agent as a worker does, and close what it opened at the end of the context.

    All settings have their defaults, and no model server is configured. Replace the model with
    `agent.override(model=…)`.

    Raises:
        SettingsError: if the agent has an `output_type`.
    """
    live = LiveSettings(Settings(openai=OpenAISettings(base_url=_NO_SERVER)))
    async with AsyncExitStack() as stack:
        models = ModelRegistry(live)
        stack.push_async_callback(models.close)
        yield await build_agent(definition, AgentContext(live, models, stack))
