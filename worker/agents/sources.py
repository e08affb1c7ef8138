"""Where agents come from: this package, installed packages, and the file."""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

import structlog
from pydantic_ai import Agent

from shared.agents.agent_file import FileAgent
from shared.errors import SettingsError
from shared.settings import ResearchSettings
from shared.telemetry.logs import where
from worker.agents.definition import AgentContext, AgentDefinition, AgentRun
from worker.agents.file_tools import complaint, tools_named

log = structlog.stdlib.get_logger()

#: The entry-point group of packages that bring agents: each names a module, or one definition.
GROUP = "mamba.agents"

_BUILT_IN = (
    "worker.agents.builtin.chat",
    "worker.agents.builtin.code_review",
    "worker.agents.builtin.research",
)


def built_in() -> list[AgentDefinition]:
    return [definition for name in _BUILT_IN for definition in _definitions(import_module(name))]


def installed() -> list[AgentDefinition]:
    """The agents of installed packages. One that cannot be loaded is logged, and not offered."""
    found: list[AgentDefinition] = []
    for point in entry_points(group=GROUP):
        try:
            found += _loaded(point)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is this package's alone)
            log.error(  # noqa: TRY400  (a traceback of somebody else's may hold anything)
                "agents.entry_point_broken",
                entry_point=f"{point.name} = {point.value}",
                package=_package(point),
                error=repr(error),
                where=where(error),
            )
    return found


def from_file(
    agents: Sequence[FileAgent], path: Path, settings: ResearchSettings
) -> list[AgentDefinition]:
    """The agents that a file describes.

    Raises:
        SettingsError: if one names a tool that is not there, or that the settings leave out.
    """
    described: list[AgentDefinition] = []
    for index, agent in enumerate(agents):
        place = f"agents[{index}]"
        for number, name in enumerate(agent.tools):
            if said := complaint(name, settings):
                raise SettingsError(f"{path} is wrong:\n  {place}.tools[{number}]: {said}")
        described.append(_described(agent, f"{path}, {place}"))
    return described


def _loaded(point: EntryPoint) -> list[AgentDefinition]:
    loaded: object = point.load()
    if isinstance(loaded, ModuleType):
        found = list(_definitions(loaded))
    else:
        found = [loaded] if isinstance(loaded, AgentDefinition) else []
    if not found:
        raise SettingsError("There is no agent made with @register_agent in it.")
    origin = f"entry point {point.name} = {point.value} of {_package(point)}"
    return [replace(definition, origin=origin) for definition in found]


def _definitions(module: ModuleType) -> Iterator[AgentDefinition]:
    return (value for value in vars(module).values() if isinstance(value, AgentDefinition))


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"


def _described(agent: FileAgent, origin: str) -> AgentDefinition:
    async def build(context: AgentContext) -> Agent[AgentRun, str]:
        tools = [copy(tool) for tool in await tools_named(agent.tools, context)]
        for tool in tools:
            tool.requires_approval = tool.name in agent.approval
        return Agent(
            name=agent.name, instructions=agent.instructions, tools=tools, deps_type=AgentRun
        )

    return AgentDefinition(
        agent.name,
        build,
        agent.description,
        agent.model,
        agent.limits,
        agent.retries,
        agent.queue,
        origin=origin,
    )
