"""The agents of this worker. File agents are built again when the file changes."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from inspect import isawaitable
from typing import Any, Self

import structlog
from pydantic_ai import FunctionToolset, Tool
from pydantic_ai.toolsets import AbstractToolset

from shared.agents.agent_card import AgentCard
from shared.agents.agent_file import AgentFile
from shared.agents.tools import DISPLAY_TOOL_NAMES, ToolCard
from shared.errors import AgentNotOffered, SettingsError
from shared.redis import keys
from shared.settings.live_settings import LiveSettings
from worker.agents.definition import AgentContext, AgentDefinition, AnyAgent
from worker.agents.engine import AgentEngine
from worker.agents.file_tools import check_notes_folder
from worker.agents.sources import (
    built_in_agents,
    failure_fields,
    file_agents,
    installed_agents,
)
from worker.models.registry import ModelRegistry
from worker.models.stream_timeouts import timeouts_of

log = structlog.stdlib.get_logger()

#: Limit for building one agent, which may open an index or connect to a server.
_BUILD_SECONDS = 60


class AgentRegistry:
    """The agents of this worker. Use it as an async context manager.

    On exit, it closes the resources that the agents opened.
    """

    def __init__(self, live: LiveSettings, models: ModelRegistry) -> None:
        self._live = live
        self._models = models
        self._file = AgentFile(live.now.agents)
        self._stack = AsyncExitStack()
        self._context = AgentContext(live, models, self._stack)
        self._code_definitions: dict[str, AgentDefinition] = {}
        self._code_agents: dict[str, AgentEngine] = {}
        self._file_agents: dict[str, AgentEngine] = {}

    async def __aenter__(self) -> Self:
        """Build all agents.

        Raises:
            SettingsError: if the agent file is invalid, two agents have the same name, or the
                notes folder does not exist.
        """
        check_notes_folder(self._live.now.research)
        async with AsyncExitStack() as cleanup:
            cleanup.push_async_callback(self._stack.aclose)
            self._code_definitions = _by_name([*built_in_agents(), *installed_agents()])
            from_file = self._read_file()
            self._code_agents = await self._build(self._code_definitions.values())
            self._file_agents = await self._build(from_file)
            cleanup.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    def get(self, name: str, /) -> AgentEngine | None:
        return self._file_agents.get(name) or self._code_agents.get(name)

    def queues(self) -> Sequence[str]:
        """Return the names of the queues: of the settings, or of all agents and models."""
        settings = self._live.now
        every = [keys.MAIN_QUEUE, *self._agent_queues(), *settings.models.queues.values()]
        names = settings.worker.queues or every
        return [*dict.fromkeys(names)]

    def cards(self) -> list[AgentCard]:
        """Return the cards of the agents whose queues this worker serves."""
        served = self.queues()
        return [
            _card(engine, from_file=engine.definition.name in self._file_agents)
            for engine in self._engines()
            if engine.definition.queue in served
        ]

    def file_agents(self) -> set[str]:
        """Return the names of the agents that the agent file describes."""
        return set(self._file_agents)

    async def reload(self) -> None:
        """Rebuild the file agents if the file has changed. An invalid file changes nothing."""
        if not self._file.changed():
            return
        try:
            self._file_agents = await self._build(self._read_file())
        except SettingsError as error:
            log.error(  # noqa: TRY400  (the error names the field)
                "agents.file_invalid",
                message="Agent file is invalid; the agents stay unchanged",
                error=str(error),
            )
        else:
            log.info(
                "agents.reloaded",
                message="Agent file reloaded",
                agents=sorted(self._file_agents),
            )

    def _engines(self) -> list[AgentEngine]:
        return [*self._code_agents.values(), *self._file_agents.values()]

    def _agent_queues(self) -> list[str]:
        return sorted(engine.definition.queue for engine in self._engines())

    def _read_file(self) -> list[AgentDefinition]:
        definitions = file_agents(self._file.read(), self._file.path, self._live.now.research)
        _by_name([*self._code_definitions.values(), *definitions])
        return definitions

    async def _build(self, definitions: Iterable[AgentDefinition]) -> dict[str, AgentEngine]:
        """Build the agents. Log and skip each one that cannot be built."""
        engines: dict[str, AgentEngine] = {}
        for definition in definitions:
            fields = {"agent": definition.name, "origin": definition.origin}
            try:
                agent = await build_agent(definition, self._context)
            except AgentNotOffered as reason:
                log.info(
                    "agents.not_offered",
                    message="Agent is not offered in this deployment",
                    **fields,
                    reason=str(reason),
                )
            except Exception as error:  # noqa: BLE001  (one broken agent must not stop the others)
                log.error(  # noqa: TRY400  (the traceback may contain secrets)
                    "agents.broken",
                    message="Agent could not be built and is not offered",
                    **fields,
                    **failure_fields(error),
                )
            else:
                engines[definition.name] = self._engine(definition, agent)
        return engines

    def _engine(self, definition: AgentDefinition, agent: AnyAgent) -> AgentEngine:
        live = self._live
        return AgentEngine(
            definition,
            agent,
            self._models,
            max_steps=lambda: live.now.run.max_steps,
            timeouts=lambda model: timeouts_of(live.now, model),
            max_file_bytes=lambda: live.now.limits.file_bytes,
        )


async def build_agent(definition: AgentDefinition, context: AgentContext) -> AnyAgent:
    """Build an agent.

    Raises:
        SettingsError: if it does not return text.
        TimeoutError: if it takes longer than a minute.
    """
    async with asyncio.timeout(_BUILD_SECONDS):
        agent = definition.build(context)
        if isawaitable(agent):
            agent = await agent
    if agent.output_type is not str:
        raise SettingsError("An agent must return text. Remove its output_type.")
    return agent


def _by_name(definitions: Iterable[AgentDefinition]) -> dict[str, AgentDefinition]:
    by_name: dict[str, AgentDefinition] = {}
    for definition in definitions:
        other = by_name.setdefault(definition.name, definition)
        if other is not definition:
            raise SettingsError(
                f"Two agents are named {definition.name!r}: {other.origin}, and "
                f"{definition.origin}. Rename one of them."
            )
    return by_name


def _card(engine: AgentEngine, *, from_file: bool) -> AgentCard:
    definition = engine.definition
    return AgentCard(
        name=definition.name,
        description=definition.description,
        model=definition.model,
        tools=_tool_names(engine),
        own_tools=tuple(
            _tool_card(tool) for tool in _tools(engine) if tool.name not in DISPLAY_TOOL_NAMES
        ),
        display_tools=definition.display_tools,
        queue=definition.queue,
        limits=definition.limits,
        from_file=from_file,
    )


def _tool_names(engine: AgentEngine) -> tuple[str, ...]:
    requested = DISPLAY_TOOL_NAMES if engine.definition.display_tools else ()
    return (*requested, *(tool.name for tool in _tools(engine)))


def _tools(engine: AgentEngine) -> list[Tool[Any]]:
    """Return the agent's function tools. Other toolsets list their tools only during a run."""
    tools: list[Tool[Any]] = []

    def add(toolset: AbstractToolset[Any]) -> None:
        if isinstance(toolset, FunctionToolset):
            tools.extend(toolset.tools.values())

    for toolset in engine.agent.toolsets:
        toolset.apply(add)
    return tools


def _tool_card(tool: Tool[Any]) -> ToolCard:
    definition = tool.tool_def
    return ToolCard(
        name=tool.name,
        description=definition.description or "",
        input_schema=definition.parameters_json_schema,
        output_schema=definition.return_schema or None,
    )
