"""The agents that this worker offers: built at its start, the file's again when it changes."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from inspect import isawaitable
from typing import Any, Self

import structlog
from pydantic_ai import FunctionToolset, Tool
from pydantic_ai.toolsets import AbstractToolset

from shared.agents.agent_file import AgentFile
from shared.agents.card import AgentCard
from shared.agents.tools import DISPLAY_TOOL_NAMES, ToolCard
from shared.errors import AgentNotOffered, SettingsError
from shared.redis import keys
from shared.settings.live_settings import LiveSettings
from shared.telemetry.logs import where
from worker.agents.definition import AgentContext, AgentDefinition, AnyAgent
from worker.agents.engine import AgentEngine
from worker.agents.sources import built_in, from_file, installed
from worker.models.registry import ModelRegistry
from worker.models.stream_timeouts import timeouts_of

log = structlog.stdlib.get_logger()

#: How long an agent may take to be built: to open its index, to reach its server.
_BUILD_SECONDS = 60


class AgentRegistry:
    """Use as an async context manager: it holds what the agents have opened."""

    def __init__(self, live: LiveSettings, models: ModelRegistry) -> None:
        self._live = live
        self._models = models
        self._file = AgentFile(live.now.agents)
        self._stack = AsyncExitStack()
        self._context = AgentContext(live, models, self._stack)
        self._fixed: dict[str, AgentDefinition] = {}
        self._built: dict[str, AgentEngine] = {}
        self._described: dict[str, AgentEngine] = {}

    async def __aenter__(self) -> Self:
        """Build them all.

        Raises:
            SettingsError: if the file is wrong, or two agents have one name.
        """
        async with AsyncExitStack() as started:
            started.push_async_callback(self._stack.aclose)
            self._fixed = _by_name([*built_in(), *installed()])
            described = self._read_file()
            self._built = await self._build(self._fixed.values())
            self._described = await self._build(described)
            started.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    def get(self, name: str, /) -> AgentEngine | None:
        return self._described.get(name) or self._built.get(name)

    def queues(self) -> Sequence[str]:
        """The queues to serve, as keys: those of the settings, or all of agents and models."""
        settings = self._live.now
        all_there_are = [keys.MAIN_QUEUE, *self._own_queues(), *settings.models.queues.values()]
        names = settings.worker.queues or all_there_are
        return [keys.queue(name) for name in dict.fromkeys(names)]

    def cards(self) -> list[AgentCard]:
        """What is told of the agents whose runs come to this worker."""
        served = self.queues()
        return [
            _card(answerer)
            for answerer in self._all()
            if keys.queue(answerer.definition.queue) in served
        ]

    async def reload(self) -> None:
        """Read the file anew, if it has changed. While it is wrong the agents stay as they were."""
        if not self._file.changed():
            return
        try:
            self._described = await self._build(self._read_file())
        except SettingsError as error:
            log.error("agents.file_wrong", error=str(error))  # noqa: TRY400  (it says where)
        else:
            log.info("agents.reloaded", agents=sorted(self._described))

    def _all(self) -> list[AgentEngine]:
        return [*self._built.values(), *self._described.values()]

    def _own_queues(self) -> list[str]:
        return sorted(answerer.definition.queue for answerer in self._all())

    def _read_file(self) -> list[AgentDefinition]:
        described = from_file(self._file.read(), self._file.path, self._live.now.research)
        _by_name([*self._fixed.values(), *described])
        return described

    async def _build(self, definitions: Iterable[AgentDefinition]) -> dict[str, AgentEngine]:
        """Those that can be built; one that cannot is logged, and not offered."""
        answerers: dict[str, AgentEngine] = {}
        for definition in definitions:
            about = {"agent": definition.name, "origin": definition.origin}
            try:
                agent = await _built(definition, self._context)
            except AgentNotOffered as reason:
                log.info("agents.not_offered", **about, reason=str(reason))
            except Exception as error:  # noqa: BLE001  (one broken agent must not stop the others)
                log.error("agents.broken", **about, error=repr(error), where=where(error))  # noqa: TRY400
            else:
                answerers[definition.name] = self._answerer(definition, agent)
        return answerers

    def _answerer(self, definition: AgentDefinition, agent: AnyAgent) -> AgentEngine:
        live = self._live
        return AgentEngine(
            definition,
            agent,
            self._models,
            max_steps=lambda: live.now.run.max_steps,
            pace=lambda model: timeouts_of(live.now, model),
            file_bytes=lambda: live.now.limits.file_bytes,
        )


async def _built(definition: AgentDefinition, context: AgentContext) -> AnyAgent:
    async with asyncio.timeout(_BUILD_SECONDS):
        agent = definition.build(context)
        if isawaitable(agent):
            agent = await agent
    if agent.output_type is not str:
        raise SettingsError("An agent answers in text: leave its output_type as it is.")
    return agent


def _by_name(definitions: Iterable[AgentDefinition]) -> dict[str, AgentDefinition]:
    found: dict[str, AgentDefinition] = {}
    for definition in definitions:
        other = found.setdefault(definition.name, definition)
        if other is not definition:
            raise SettingsError(
                f"Two agents have the name {definition.name!r}: {other.origin}, "
                f"and {definition.origin}."
            )
    return found


def _card(answerer: AgentEngine) -> AgentCard:
    definition = answerer.definition
    return AgentCard(
        name=definition.name,
        description=definition.description,
        model=definition.model,
        tools=_tool_names(answerer),
        own_tools=tuple(
            _tool_card(tool) for tool in _tools(answerer) if tool.name not in DISPLAY_TOOL_NAMES
        ),
        display_tools=definition.display_tools,
        queue=definition.queue,
        limits=definition.limits,
    )


def _tool_names(answerer: AgentEngine) -> tuple[str, ...]:
    requested = DISPLAY_TOOL_NAMES if answerer.definition.display_tools else ()
    return (*requested, *(tool.name for tool in _tools(answerer)))


def _tools(answerer: AgentEngine) -> list[Tool[Any]]:
    """Those that are known before a run: functions."""
    found: list[Tool[Any]] = []

    def add(toolset: AbstractToolset[Any]) -> None:
        if isinstance(toolset, FunctionToolset):
            found.extend(toolset.tools.values())

    for toolset in answerer.agent.toolsets:
        toolset.apply(add)
    return found


def _tool_card(tool: Tool[Any]) -> ToolCard:
    told = tool.tool_def
    return ToolCard(
        name=tool.name,
        description=told.description or "",
        input_schema=told.parameters_json_schema,
        output_schema=told.return_schema or None,
    )
