"""Agents defined in a YAML file, which the API and the workers both read.

For example:

    agents:
      - name: poet
        description: Answers in verse.
        instructions: Answer each question with a poem of four lines.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from shared.agent_name import AgentName
from shared.agents.agent_card import BUILT_IN_AGENTS, AgentCard, AgentLimits, AgentRetries
from shared.errors import SettingsError
from shared.field_path import format_field_path
from shared.file_stamp import FileStamp, file_stamp
from shared.redis.keys import MAIN_QUEUE
from shared.settings import AgentSettings
from shared.settings.yaml_text import read_yaml_text

_Text = Annotated[str, Field(min_length=1)]


class FileAgent(BaseModel):
    """An agent in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: AgentName
    description: str = ""
    instructions: _Text
    model: _Text | None = None
    tools: tuple[str, ...] = ()
    #: Tools that require the user's approval.
    approval: tuple[str, ...] = ()
    limits: AgentLimits = AgentLimits()
    retries: AgentRetries = AgentRetries()
    queue: AgentName = MAIN_QUEUE

    @field_validator("approval")
    @classmethod
    def _of_its_tools(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for name in names:
            if name not in info.data.get("tools", ()):
                raise PydanticCustomError(
                    "approval",
                    "{name} is not among the tools of the agent. Add it to `tools`.",
                    {"name": repr(name)},
                )
        return names

    @property
    def card(self) -> AgentCard:
        return AgentCard(
            name=self.name,
            description=self.description,
            model=self.model,
            tools=self.tools,
            queue=self.queue,
            limits=self.limits,
        )


class _AgentFileContent(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    agents: tuple[FileAgent, ...] = ()


class AgentFile:
    """Reads the agent file and detects changes of it."""

    def __init__(self, settings: AgentSettings) -> None:
        self.path = settings.file
        self._required = "file" in settings.model_fields_set
        self._was_read = False
        self._stamp: FileStamp | None = None
        self._agents: Sequence[FileAgent] = ()

    def changed(self) -> bool:
        return not self._was_read or file_stamp(self.path) != self._stamp

    def current(self) -> Sequence[FileAgent]:
        """Return the agents. Reads the file only if it has changed since the last time.

        Raises:
            SettingsError: if the file is invalid. It is raised once; after that, the last valid
                agents are returned until the file changes.
        """
        return self.read() if self.changed() else self._agents

    def read(self) -> Sequence[FileAgent]:
        """Return the agents of the file; none if it is missing and no setting names it.

        An invalid file counts as read until it changes.

        Raises:
            SettingsError: if the file is invalid. Names the file, the field and the reason.
        """
        self._was_read, self._stamp = True, file_stamp(self.path)
        if self._stamp is None and not self._required:
            self._agents = ()
            return self._agents
        try:
            content: Any = read_yaml_text(self.path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(
                f"agents.file: {self.path} cannot be read: {error.strerror}."
            ) from None
        except (ValueError, yaml.YAMLError) as error:
            raise SettingsError(f"{self.path} cannot be read: {error}") from None
        try:
            agents = _AgentFileContent.model_validate({} if content is None else content).agents
        except ValidationError as error:
            raise SettingsError(_describe_errors(self.path, error)) from None
        _check_names(self.path, agents)
        self._agents = agents
        return agents


def _describe_errors(path: Path, error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)
    fields = (format_field_path(problem["loc"]) or "the file" for problem in problems)
    lines = [f"{field}: {problem['msg']}" for field, problem in zip(fields, problems, strict=True)]
    return f"{path} is invalid:\n  " + "\n  ".join(lines)


def _check_names(path: Path, agents: Sequence[FileAgent]) -> None:
    taken = {card.name: "built in" for card in BUILT_IN_AGENTS}
    for index, agent in enumerate(agents):
        field = f"agents[{index}].name"
        if (origin := taken.get(agent.name)) is not None:
            raise SettingsError(
                f"{path} is invalid:\n  {field}: {agent.name!r} is already in use ({origin})."
            )
        taken[agent.name] = field
