"""Finds agent definitions: built-in ones, those of installed packages, and those of the file."""

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
from shared.telemetry.logs import raise_location
from worker.agents.definition import AgentContext, AgentDefinition
from worker.agents.file_tools import tool_error, tools_by_name
from worker.tools.context import AgentRun

log = structlog.stdlib.get_logger()

#: Entry-point group of packages with agents. Each entry point names a module or a definition.
ENTRY_POINT_GROUP = "mamba.agents"

_BUILT_IN_MODULES = (
    "worker.agents.builtin.chat",
    "worker.agents.builtin.code_review",
    "worker.agents.builtin.research",
)


def built_in_agents() -> list[AgentDefinition]:
    modules = map(import_module, _BUILT_IN_MODULES)
    return [definition for module in modules for definition in _definitions(module)]


def installed_agents() -> list[AgentDefinition]:
    """Return the agents of installed packages. Log and skip each package that cannot be loaded."""
    found: list[AgentDefinition] = []
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            found += _load(point)
        except Exception as error:  # noqa: BLE001  (one broken package must not affect the others)
            log.error(  # noqa: TRY400  (the traceback of a foreign package may contain secrets)
                "agents.entry_point_broken",
                message="Agents of an installed package could not be loaded",
                entry_point=f"{point.name} = {point.value}",
                package=_package(point),
                **failure_fields(error),
            )
    return found


def failure_fields(error: Exception) -> dict[str, str]:
    """Return the log fields of an error in an agent's code, whose message may contain secrets."""
    text = str(error) if isinstance(error, SettingsError) else type(error).__name__
    return {"error": text, "where": raise_location(error)}


def file_agents(
    agents: Sequence[FileAgent], path: Path, settings: ResearchSettings
) -> list[AgentDefinition]:
    """Convert the agents of the agent file to definitions.

    Raises:
        SettingsError: if an agent names a tool that does not exist or that the settings turn off.
    """
    definitions: list[AgentDefinition] = []
    for index, agent in enumerate(agents):
        field_path = f"agents[{index}]"
        for number, name in enumerate(agent.tools):
            if error := tool_error(name, settings):
                raise SettingsError(f"{path} is invalid:\n  {field_path}.tools[{number}]: {error}")
        definitions.append(_definition(agent, f"{path}, {field_path}"))
    return definitions


def _load(point: EntryPoint) -> list[AgentDefinition]:
    loaded: object = point.load()
    if isinstance(loaded, ModuleType):
        found = list(_definitions(loaded))
    else:
        found = [loaded] if isinstance(loaded, AgentDefinition) else []
    if not found:
        raise SettingsError("It contains no agent. Define one with @register_agent.")
    origin = f"entry point {point.name} = {point.value} of {_package(point)}"
    return [replace(definition, origin=origin) for definition in found]


def _definitions(module: ModuleType) -> Iterator[AgentDefinition]:
    return (value for value in vars(module).values() if isinstance(value, AgentDefinition))


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"


def _definition(agent: FileAgent, origin: str) -> AgentDefinition:
    async def build(context: AgentContext) -> Agent[AgentRun, str]:
        tools = [copy(tool) for tool in await tools_by_name(agent.tools, context)]
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
