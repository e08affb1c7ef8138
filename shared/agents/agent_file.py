"""The agents that a YAML file describes: read alike by the API, which names them, and the workers.

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

from shared.agents.card import BUILT_IN, AgentCard, AgentLimits, AgentName, AgentRetries
from shared.errors import SettingsError
from shared.field_path import format_field_path
from shared.redis.keys import MAIN_QUEUE
from shared.settings import AgentSettings
from shared.settings.yaml_text import read_yaml_text

_Text = Annotated[str, Field(min_length=1)]


class FileAgent(BaseModel):
    """One agent of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: AgentName
    description: str = ""
    instructions: _Text
    model: _Text | None = None
    tools: tuple[str, ...] = ()
    #: Those of its tools that are called only when the user has said yes.
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
                    "approval", "{name} is none of its tools.", {"name": repr(name)}
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
    """The file as it was when it was last read, and whether it has changed since."""

    def __init__(self, settings: AgentSettings) -> None:
        self.path = settings.file
        self._required = "file" in settings.model_fields_set
        self._seen: tuple[int, ...] | None = None

    def changed(self) -> bool:
        return _stamp(self.path) != self._seen

    def read(self) -> Sequence[FileAgent]:
        """The agents of the file; none where there is no file, and no setting names it.

        A file that is wrong counts as read: it is looked at again when it has changed.

        Raises:
            SettingsError: naming the file, the field and what is wrong with it.
        """
        self._seen = _stamp(self.path)
        if self._seen == () and not self._required:
            return ()
        try:
            content: Any = read_yaml_text(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise SettingsError(f"{self.path} cannot be read: {error}") from None
        try:
            agents = _AgentFileContent.model_validate({} if content is None else content).agents
        except ValidationError as error:
            raise SettingsError(_explained(self.path, error)) from None
        _check_names(self.path, agents)
        return agents


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes when the file does; empty where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _explained(path: Path, error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)
    fields = (format_field_path(problem["loc"]) or "the file" for problem in problems)
    lines = [f"{field}: {problem['msg']}" for field, problem in zip(fields, problems, strict=True)]
    return f"{path} is wrong:\n  " + "\n  ".join(lines)


def _check_names(path: Path, agents: Sequence[FileAgent]) -> None:
    taken = {card.name: "built in" for card in BUILT_IN}
    for index, agent in enumerate(agents):
        place = f"agents[{index}].name"
        if (origin := taken.get(agent.name)) is not None:
            raise SettingsError(
                f"{path} is wrong:\n  {place}: There is an agent {agent.name!r} already: {origin}."
            )
        taken[agent.name] = place
